// SPDX-License-Identifier: Apache-2.0
// Backends that are no longer wanted, and ids that entries of the flow table may still name.
#include <algorithm>
#include <atomic>
#include <thread>

#include "control/model/text.hpp"
#include "control/table/publisher.hpp"

namespace weir::table {
namespace {

Time now() { return std::chrono::steady_clock::now(); }

}  // namespace

/// After the rows have been written: none has a backend that is absent for its owner.
void Publisher::drop_absent(const model::Service& service, Placed& placed) {
  std::map<std::string, u32> absent = placed.backends;
  for (const model::Backend& backend : service.backends) absent.erase(model::to_text(backend.endpoint));
  for (const auto& [endpoint, id] : absent) {
    placed.backends.erase(endpoint);
    if (memory_.backends[id].state == static_cast<u32>(BackendState::dead)) {
      withdraw_backend(id);
      continue;
    }
    store_once(memory_.backends[id].in_use, held_for_flows);
    placed.leaving.emplace(endpoint, Leaving{id, tick()});
    placed.changed = tick_after_rest();
    around_.hop_needed(memory_.backends[id].address, true);
  }
}

/// Lets backends go that no row and no flow needs, and those whose flows have had a window's time to be told to end.
void Publisher::let_go(Placed& placed, const flows::Survey& survey, u32 now, const std::unordered_set<u32>& named) {
  for (auto at = placed.leaving.begin(); at != placed.leaving.end();) {
    const auto [id, since] = at->second;
    const bool told =
        memory_.backends[id].state == static_cast<u32>(BackendState::resetting) && age_of(since, now) > placed.window;
    if (named.contains(id) || !(told || (id < survey.backends.size() && survey.backends[id].entries() == 0))) {
      ++at;
      continue;
    }
    around_.hop_needed(memory_.backends[id].address, false);
    withdraw_backend(id);
    at = placed.leaving.erase(at);
  }
}

/// Makes room for a nat backend: one address, port and protocol answers for one service.
void Publisher::evict_leaving(const Backend& newcomer) {
  if (newcomer.mode != Mode::nat) return;
  const auto is_in_the_way = [&](const Backend& b) {
    return b.mode == Mode::nat && b.protocol == newcomer.protocol &&
           (b.port == newcomer.port || b.port.raw == 0 || newcomer.port.raw == 0);
  };
  std::vector<u32> found;
  const auto [begin, end] = backends_at_.equal_range(model::to_text(newcomer.address));
  for (auto at = begin; at != end; ++at)
    if (is_in_the_way(memory_.backends[at->second])) found.push_back(at->second);
  if (found.empty()) return;
  for (auto& [name, placed] : placed_) {
    for (auto at = placed.leaving.begin(); at != placed.leaving.end();) {
      const u32 id = at->second.id;
      if (std::find(found.begin(), found.end(), id) == found.end()) {
        ++at;
        continue;
      }
      set_state(id, BackendState::dead, placed);
      repair_rows(placed);
      around_.hop_needed(newcomer.address, false);
      withdraw_backend(id);
      at = placed.leaving.erase(at);
    }
  }
}

void Publisher::withdraw(const Placed& placed) {
  withdraw_service(placed.id);
  for (const auto& [endpoint, id] : placed.backends) withdraw_backend(id);
  for (const auto& [endpoint, leaving] : placed.leaving) {
    around_.hop_needed(memory_.backends[leaving.id].address, false);
    withdraw_backend(leaving.id);
  }
}

void Publisher::withdraw_service(u32 id) {
  Service& record = memory_.services[id];
  book_.remove_service(id);
  row_pool_.give_back(table_first_row(record.table), 1U << table_log2_rows(record.table), now());
  store_once(record.in_use, 0U);
  retired_services_.push_back({id, tick_after_rest()});
  if (!around_.sweep) reclaim({});
}

void Publisher::withdraw_backend(u32 id) {
  Backend& record = memory_.backends[id];
  book_.remove_backend(id);
  auto [at, end] = backends_at_.equal_range(model::to_text(record.address));
  while (at != end && at->second != id) ++at;
  if (at != end) backends_at_.erase(at);
  store_once(record.in_use, 0U);
  retired_backends_.push_back({id, tick_after_rest()});
  if (!around_.sweep) reclaim({});
}

/// Frees the ids that no entry names: a pass that began after they went out of use has freed those entries.
void Publisher::reclaim(const flows::Survey& survey) {
  const auto give_back = [&](std::vector<Retired>& retired, IdPool& pool) {
    std::erase_if(retired, [&](const Retired& r) {
      if (around_.sweep && !is_later(survey.tick, r.since)) return false;
      pool.give_back(r.id, around_.sweep ? now() - rest_time : now());
      return true;
    });
  };
  give_back(retired_services_, service_ids_);
  give_back(retired_backends_, backend_ids_);
}

/// A free id. When there is none but those that rest or wait for a pass over the flow table, it waits for them: half a
/// second at most.
std::optional<u32> Publisher::take_id(IdPool& pool) {
  auto id = pool.take(now());
  for (u32 tries = 0; !id && tries < 10; ++tries) {
    std::this_thread::sleep_for(rest_time / 2);
    if (around_.sweep && !(retired_services_.empty() && retired_backends_.empty())) reclaim(around_.sweep());
    id = pool.take(now());
  }
  return id;
}

}  // namespace weir::table

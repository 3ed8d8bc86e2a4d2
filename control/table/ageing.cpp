// SPDX-License-Identifier: Apache-2.0
// Rows: written when a plan wants other owners, pinned when their window ends, settled when a pass over the flow table
// has found nobody in them.
#include <algorithm>
#include <atomic>
#include <utility>

#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/race.hpp"
#include "control/table/rows.hpp"

namespace weir::table {
namespace {

/// Counts a row that is not settled.
void count(Row row, RowTotals& totals) {
  totals.moving += row_state(row) == RowState::moving ? 1 : 0;
  totals.pinned += row_state(row) == RowState::pinned ? 1 : 0;
}

}  // namespace

std::vector<u32> Publisher::owners_of(const model::Service& service,
                                      const std::function<u32(const std::string& endpoint)>& id_of) const {
  std::vector<Member> members;
  members.reserve(service.backends.size());
  for (const model::Backend& b : service.backends)
    members.push_back({b.endpoint, b.effective_weight(), id_of(model::to_text(b.endpoint))});
  std::vector<u32> owners = build(seed_, service.protocol, service.vip, members, service.rows);
  std::replace(owners.begin(), owners.end(), no_member, nobody);
  return owners;
}

std::span<const Row> Publisher::rows_of(const Placed& placed) const {
  return std::span<const Row>(memory_.rows).subspan(placed.first_row, placed.rows);
}

bool Publisher::is_alive(u32 backend) const {
  const Backend& record = memory_.backends[backend];
  return record.in_use != 0 && record.state != static_cast<u32>(BackendState::dead);
}

void Publisher::write_rows(const model::Service& service, Placed& placed, const Stretch& stretch) {
  const std::vector<u32> owners =
      owners_of(service, [&](const std::string& endpoint) { return placed.backends.at(endpoint); });
  const auto alive = [this](u32 id) { return is_alive(id); };
  const std::span<const Row> old = rows_of(placed);
  const RowsBefore before(old, service.rows);
  Service& record = memory_.services[placed.id];
  const bool fresh = old.empty();
  // Another hash puts every flow into another row: all that can be kept are those which the flow table knows.
  const bool rehashed = !fresh && table_hash(record.table) != service.hash;
  const u32 at = tick();
  const std::vector<u32> since = std::exchange(placed.since, {});
  placed.moved += count_moved(old, owners);
  placed.rows_owned.clear();
  placed.totals = {};
  bool changed = stretch.moves;

  for (u32 i = 0; i < service.rows; ++i) {
    const u32 owner = owners[i];
    Row next = settled_row(owner);
    u32 began = at;
    if (!stateless_ && !fresh) {
      Row present = before.joins() ? joined(before.of(i), alive) : old[before.first(i)];
      // A settled row whose flows a pass has not freed yet is treated as one that has some.
      if (placed.lingering && row_state(present) == RowState::settled && row_owner(present) != owner)
        present = pinned_row(row_owner(present));
      const bool at_once = rehashed || (placed.knows_all && row_owner(present) != owner);
      next = at_once ? pinned_row(owner) : next_row(present, owner, alive);
      const bool goes_on = row_state(present) == RowState::moving && row_stable(present) == row_stable(next);
      if (goes_on && !since.empty() && !before.joins()) began = since[before.first(i)];
    }
    if (row_state(next) != RowState::settled) {
      if (placed.since.empty()) placed.since.assign(service.rows, at);
      placed.since[i] = began;
      count(next, placed.totals);
    }
    if (Row& row = memory_.rows[stretch.first + i]; row != next) {
      store_once(row, next);
      changed = true;
    }
    ++placed.rows_owned[owner];
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (service.hash != HashOn::source) book_.set_hash(placed.id, service.hash, placed.backends);
  const bool tracked_all = (record.table & table_track_all) != 0;
  if (record.in_use == 0) {
    record = service_record(service, stretch.first);
  } else {
    store_once(record.timeouts, timeouts_of(service));
    store_once(record.table, table_word_of(service, stretch.first));
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (service.hash == HashOn::source) book_.set_hash(placed.id, service.hash, placed.backends);
  if (stretch.moves && placed.rows != 0)
    row_pool_.give_back(placed.first_row, placed.rows, std::chrono::steady_clock::now());
  placed.first_row = stretch.first;
  placed.rows = service.rows;
  if (changed || rehashed) placed.changed = tick_after_rest();
  if (!fresh && tracked_all && service.track != model::Track::all) {
    placed.lingering = true;
    placed.settled_at = tick_after_rest();
  }
}

/// After the death of backends that own no row: rows whose stable owner they were have no one but their owner.
void Publisher::repair_rows(Placed& placed) {
  placed.totals = {};
  for (u32 i = 0; i < placed.rows; ++i) {
    Row& row = memory_.rows[placed.first_row + i];
    const Row next = next_row(row, row_owner(row), [this](u32 id) { return is_alive(id); });
    if (next != row) store_once(row, next);
    count(next, placed.totals);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  placed.changed = tick_after_rest();
}

void Publisher::age(const flows::Survey& survey, Time now, const std::function<bool(const std::string&)>& knows_all) {
  const u32 at =
      tick_of(static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count()));
  for (auto& [name, placed] : placed_) {
    placed.knows_all = knows_all && knows_all(name);
    age(placed, survey, at);
  }
  reclaim(survey);
}

void Publisher::age(Placed& placed, const flows::Survey& survey, u32 now) {
  if (placed.lingering && is_later(survey.tick, placed.settled_at)) placed.lingering = false;
  const u64 evicted = placed.id < survey.services.size() ? survey.services[placed.id].evicted_established : 0;
  if (const u64 before = std::exchange(placed.evicted, evicted); evicted > before) placed.evicted_at = now;
  const bool evicted_lately = placed.evicted != 0 && age_of(placed.evicted_at, now) <= placed.idle;
  placed.knows_all = placed.knows_all && !evicted_lately;
  if (placed.is_settled() && placed.leaving.empty()) return;

  // What the survey has not seen yet may have been followed by flows that it has not seen either.
  const bool seen = placed.is_seen_by(survey.tick);
  const auto strangers = survey.rows.find(placed.id);
  const bool may_settle = seen && !evicted_lately && strangers != survey.rows.end() &&
                          strangers->second.table == memory_.services[placed.id].table;
  std::unordered_set<u32> named;
  RowTotals totals;
  u32 closed = 0, settled = 0;
  if (!placed.is_settled()) {
    for (u32 i = 0; i < placed.rows; ++i) {
      Row& row = memory_.rows[placed.first_row + i];
      Row next = row;
      if (row_state(row) == RowState::moving) {
        named.insert(row_stable(row));
        if (placed.knows_all || age_of(placed.since[i], now) > placed.window_of(row_stable(row)))
          next = window_closed(row);
        closed += next != row ? 1 : 0;
      } else if (row_state(row) == RowState::pinned && may_settle && !strangers->second.test(i)) {
        next = nobody_left(row);
        ++settled;
      }
      if (next != row) store_once(row, next);
      count(next, totals);
    }
    placed.totals = totals;
  }
  if (seen) let_go(placed, survey, now, named);
  if (closed != 0) placed.changed = tick_after_rest();
  if (settled != 0) {
    placed.settled_at = tick_after_rest();
    placed.lingering = true;
  }
  if (placed.is_settled()) placed.since = {};
}

std::vector<bool> Publisher::unsettled() const {
  std::vector<bool> ids(memory_.services.size());
  for (const auto& [name, placed] : placed_) ids[placed.id] = !placed.is_settled();
  return ids;
}

RowTotals Publisher::row_totals() const {
  RowTotals sum;
  for (const auto& [name, placed] : placed_) {
    sum.moving += placed.totals.moving;
    sum.pinned += placed.totals.pinned;
  }
  return sum;
}

u64 Publisher::moved(const std::string& service) const {
  const Placed* const found = placed(service);
  return found ? found->moved : 0;
}

u32 Publisher::rows_open_on(u32 backend) const {
  if (backend == nobody || backend >= memory_.backends.size() || memory_.backends[backend].in_use == 0) return 0;
  const u64 table = memory_.services[memory_.backends[backend].service].table;
  const auto rows =
      std::span<const Row>(memory_.rows).subspan(table_first_row(table), u64{1} << table_log2_rows(table));
  return static_cast<u32>(std::count_if(rows.begin(), rows.end(), [backend](Row row) {
    return row_state(row) == RowState::moving && row_stable(row) == backend;
  }));
}

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
#include "control/table/publisher.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "control/model/text.hpp"

namespace weir::table {
namespace {

Time now() { return std::chrono::steady_clock::now(); }

/// Calls `take` until it yields something; what rests comes free within `rest_time`.
template <class Take>
auto take_rested(const Take& take) {
  auto taken = take(now());
  for (auto waited = rest_time.zero(); !taken && waited <= rest_time; waited += rest_time / 10) {
    std::this_thread::sleep_for(rest_time / 10);
    taken = take(now());
  }
  return taken;
}

bool is_stateless() {
  const char* const set = std::getenv("WEIR_TEST_STATELESS");
  return set && std::string_view(set) == "1";
}

u32 tick_at(Time time) {
  return tick_of(
      static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count()));
}

}  // namespace

Publisher::Publisher(TableMemory& memory, const model::Seed& seed, Surroundings surroundings)
    : memory_(memory),
      seed_(seed),
      around_(std::move(surroundings)),
      stateless_(is_stateless()),
      book_(memory),
      service_ids_(static_cast<u32>(memory.services.size())),
      backend_ids_(static_cast<u32>(memory.backends.size())),
      row_pool_(static_cast<u32>(memory.rows.size())) {
  adopt();
}

u32 Publisher::tick() const { return tick_at(around_.clock()); }
// A packet that was decided on the old word is long gone by then, and what it had to remember is in the flow table.
u32 Publisher::tick_after_rest() const { return tick_at(around_.clock() + rest_time); }

Result<> Publisher::apply(const model::Plan& plan) {
  const auto remove_gone = [&] {
    for (const model::Step& step : plan.steps)
      if (!step.after) remove(step.name);
  };
  bool removed = false;
  for (const model::Step& step : plan.steps) {
    if (!step.after) continue;
    auto done = put(*step.after, plan);
    if (!done && !removed) {  // perhaps there is room once the rest of the plan has been carried out
      remove_gone();
      removed = true;
      done = put(*step.after, plan);
    }
    if (!done) return done;
  }
  if (!removed) remove_gone();
  return {};
}

/// Whether `service` is the placed one to a packet and to a backend's answer.
bool Publisher::stands_there(const Placed& placed, const model::Service& service) const {
  const Service& record = memory_.services[placed.id];
  return record.vip == service.vip.address && to_host(record.port) == service.vip.port &&
         record.protocol == service.protocol && record.mode == service.mode;
}

/// A service that goes with this plan and stands where `service` is to stand: only its name changes.
const Placed* Publisher::predecessor(const model::Service& service, const model::Plan& plan) const {
  if (placed_.contains(service.name)) return nullptr;
  for (const model::Step& step : plan.steps)
    if (const Placed* const old = step.after ? nullptr : placed(step.name); old && stands_there(*old, service))
      return old;
  return nullptr;
}

Result<> Publisher::put(const model::Service& service, const model::Plan& plan) {
  Placed placed;
  const Placed* const renamed = predecessor(service, plan);
  if (renamed) {
    placed = *renamed;
  } else if (const auto found = placed_.find(service.name); found != placed_.end()) {
    placed = found->second;
  } else {
    take_over(service, placed);
  }
  // A service of this name with another VIP, protocol or mode is another service: it goes when the new one stands.
  const bool replaces = placed.id != 0 && !stands_there(placed, service);
  if (replaces) placed = Placed{};
  const bool fresh = placed.id == 0;
  if (fresh) {
    const auto id = take_id(service_ids_);
    if (!id) return fail(Fault::internal, "no room for service \"{}\": the table of services is full", service.name);
    placed.id = *id;
    around_.service_given(*id);
    // An answer key leads through its backend to this record: what it says of the VIP comes before add_backends, and
    // `in_use` with the rows.
    Service record = service_record(service, 0);
    record.in_use = 0;
    memory_.services[*id] = record;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    book_.set_hash(*id, service.hash, {});
  }
  const std::map<std::string, u32> before = placed.backends;
  const std::map<std::string, Leaving> left = placed.leaving;
  auto stretch = make_room(service, placed);
  auto written = stretch ? add_backends(service, placed) : Result<>(tl::unexpected(stretch.error()));
  if (!written) {  // gives back what this call has taken
    for (const auto& [endpoint, id] : placed.backends)
      if (!before.contains(endpoint) && !left.contains(endpoint)) withdraw_backend(id);
    if (stretch && stretch->moves) row_pool_.give_back(stretch->first, service.rows, now());
    if (fresh) service_ids_.give_back(placed.id, now());
    return written;
  }
  set_terms(service, placed);
  set_states(service, placed);
  write_rows(service, placed, *stretch);
  if (fresh) {
    if (!book_.add_service(placed.id, state_of(service.vip.address)))
      return fail(Fault::internal, "no room for service \"{}\": the index is full", service.name);
  }
  drop_absent(service, placed);
  if (renamed)
    placed_.erase(std::find_if(placed_.begin(), placed_.end(), [&](const auto& p) { return &p.second == renamed; }));
  Placed outgoing = std::exchange(placed_[service.name], std::move(placed));
  if (replaces) withdraw(outgoing);
  return {};
}

Result<Publisher::Stretch> Publisher::make_room(const model::Service& service, const Placed& placed) {
  if (placed.rows == service.rows) return Stretch{placed.first_row, false};
  const auto taken = take_rested([&](Time t) { return row_pool_.take(service.rows, t); });
  if (!taken)
    return fail(Fault::internal, "no room for the {} rows of service \"{}\": raise limits.rows and restart",
                service.rows, service.name);
  return Stretch{*taken, true};
}

Result<> Publisher::add_backends(const model::Service& service, Placed& placed) {
  for (const model::Backend& backend : service.backends) {
    const std::string endpoint = model::to_text(backend.endpoint);
    if (placed.backends.contains(endpoint)) continue;
    if (const auto back = placed.leaving.find(endpoint); back != placed.leaving.end()) {
      placed.backends.emplace(endpoint, back->second.id);
      continue;  // it stays among those that leave until set_states
    }
    const auto id = take_id(backend_ids_);
    if (!id)
      return fail(Fault::internal, "no room for {}/{}: the table of backends is full", service.name, backend.name);
    around_.backend_given(*id);
    const Backend record = backend_record(service, placed.id, backend, around_.hop_of(backend.endpoint.address));
    evict_leaving(record);
    memory_.backends[*id] = record;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    backends_at_.emplace(model::to_text(backend.endpoint.address), *id);
    placed.backends.emplace(endpoint, *id);
    if (!book_.add_backend(*id))
      return fail(Fault::internal, "no room for {}/{}: the index is full", service.name, backend.name);
  }
  return {};
}

void Publisher::set_terms(const model::Service& service, Placed& placed) {
  placed.window = ticks_of_seconds(service.settle_window());
  placed.idle = ticks_of_seconds(service.idle);
  placed.own_window.clear();
  for (const model::Backend& backend : service.backends) {
    if (!backend.drain || backend.drain->deadline == 0) continue;
    u32 window = ticks_of_seconds(backend.drain->deadline);
    if (service.protocol == Protocol::udp) window = std::min(window, placed.idle);
    placed.own_window.emplace(placed.backends.at(model::to_text(backend.endpoint)), window);
  }
}

/// What every backend of the service is to do from here on, those that are no longer wanted among them.
void Publisher::set_states(const model::Service& service, Placed& placed) {
  std::map<std::string, u32> absent = placed.backends;
  for (const model::Backend& backend : service.backends) {
    const std::string endpoint = model::to_text(backend.endpoint);
    const u32 id = placed.backends.at(endpoint);
    absent.erase(endpoint);
    if (placed.leaving.erase(endpoint) > 0) {
      store_once(memory_.backends[id].in_use, 1U);
      around_.hop_needed(backend.endpoint.address, false);
    }
    // What has been told to end does not begin to go on because it is still being drained.
    const bool ending = memory_.backends[id].state == static_cast<u32>(BackendState::resetting);
    if (!(ending && backend.admin == Admin::draining)) set_state(id, table::state_of(backend), placed);
  }
  for (const auto& [endpoint, id] : absent) {
    const auto present = static_cast<BackendState>(memory_.backends[id].state);
    BackendState next = present;
    if (service.on_remove == model::OnRemove::rehash || !book_.answers(id)) next = BackendState::dead;
    if (present == BackendState::open || present == BackendState::draining) {
      if (next == present && service.on_remove == model::OnRemove::keep) next = BackendState::draining;
      if (next == present && service.on_remove == model::OnRemove::reset) next = BackendState::resetting;
    }
    set_state(id, next, placed);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Publisher::set_state(u32 id, BackendState state, Placed& placed) {
  u32& present = memory_.backends[id].state;
  if (present == static_cast<u32>(state)) return;
  store_once(present, static_cast<u32>(state));
  placed.changed = tick_after_rest();
}

void Publisher::end(const std::string& service, const model::Endpoint& endpoint) {
  const auto found = placed_.find(service);
  if (found == placed_.end()) return;
  Placed& placed = found->second;
  const std::string text = model::to_text(endpoint);
  if (const auto backend = placed.backends.find(text); backend != placed.backends.end())
    set_state(backend->second, BackendState::resetting, placed);
  if (const auto leaving = placed.leaving.find(text); leaving != placed.leaving.end()) {
    set_state(leaving->second.id, BackendState::resetting, placed);
    leaving->second.since = tick();
  }
}

void Publisher::remove(const std::string& name) {
  const auto found = placed_.find(name);
  if (found == placed_.end()) return;
  withdraw(found->second);
  placed_.erase(found);
}

VipState Publisher::state_of(const Ip& vip) const {
  return around_.is_local(vip) ? VipState::local : VipState::foreign;
}

void Publisher::set_local(const Ip& vip, bool local) {
  book_.set_local(vip, local ? VipState::local : VipState::foreign);
}

void Publisher::set_hop(const Ip& backend, const Hop& hop) {
  auto [at, end] = backends_at_.equal_range(model::to_text(backend));
  for (; at != end; ++at) {
    Backend& record = memory_.backends[at->second];
    const u32 mtu = backend_mtu(hop.mtu, record.mode, record.address);
    // While a hop is not resolved the MTU beside it is not looked at, so it is then that it may be anything.
    const bool was_open = (record.hop & hop_resolved) != 0;
    const bool opens = (hop.word & hop_resolved) != 0;
    const bool mtu_first = !was_open || (opens && mtu < record.mtu);
    if (mtu_first) store_once(record.mtu, mtu);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    store_once(record.hop, hop.word);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!mtu_first) store_once(record.mtu, mtu);
  }
}

const Placed* Publisher::placed(const std::string& service) const {
  const auto found = placed_.find(service);
  return found == placed_.end() ? nullptr : &found->second;
}

}  // namespace weir::table

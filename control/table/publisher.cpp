// SPDX-License-Identifier: Apache-2.0
#include "control/table/publisher.hpp"

#include <atomic>
#include <thread>
#include <utility>

#include "control/model/text.hpp"
#include "control/table/race.hpp"
#include "control/table/records.hpp"

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

/// Whether both are the same service to a packet and to a backend's answer.
bool same_place(const Service& a, const Service& b) {
  return a.vip == b.vip && a.port == b.port && a.protocol == b.protocol && a.mode == b.mode;
}

std::string endpoint_text(const Backend& b) { return model::to_text(model::Endpoint{b.address, to_host(b.port)}); }

}  // namespace

Publisher::Publisher(TableMemory& memory, const model::Seed& seed, Surroundings surroundings)
    : memory_(memory),
      seed_(seed),
      around_(std::move(surroundings)),
      book_(memory),
      service_ids_(static_cast<u32>(memory.services.size())),
      backend_ids_(static_cast<u32>(memory.backends.size())),
      row_pool_(static_cast<u32>(memory.rows.size())) {
  adopt();
}

void Publisher::adopt() {
  for (u32 id = 1; id < memory_.services.size(); ++id) {
    const Service& record = memory_.services[id];
    if (record.in_use == 0) continue;
    service_ids_.reserve(id);
    row_pool_.reserve(table_first_row(record.table), 1U << table_log2_rows(record.table));
    book_.adopt_service(id, state_of(record.vip));
    adopted_[id];
  }
  for (u32 id = 1; id < memory_.backends.size(); ++id) {
    const Backend& record = memory_.backends[id];
    if (record.in_use == 0) continue;
    backend_ids_.reserve(id);
    backends_at_.emplace(model::to_text(record.address), id);
    book_.adopt_backend(id);
    // A daemon that was killed between a service's backends and the service itself leaves backends of nobody.
    if (const auto service = adopted_.find(record.service); service != adopted_.end())
      service->second.emplace(endpoint_text(record), id);
    else
      withdraw_backend(id);
  }
}

Result<> Publisher::apply(const model::Plan& plan) {
  const auto remove_gone = [&] {
    for (const model::Step& step : plan.steps)
      if (!step.after) remove(step.name);
  };
  bool removed = false;
  for (const model::Step& step : plan.steps) {
    if (!step.after) continue;
    auto done = put(*step.after);
    if (!done && !removed) {  // perhaps there is room once the rest of the plan has been carried out
      remove_gone();
      removed = true;
      done = put(*step.after);
    }
    if (!done) return done;
  }
  if (!removed) remove_gone();
  return {};
}

void Publisher::take_over(const model::Service& service, Placed& placed) {
  const Service wanted = service_record(service, 0);
  const u32 id = book_.service_at(wanted);
  const auto found = adopted_.find(id);
  if (found == adopted_.end() || memory_.services[id].mode != service.mode) return;
  placed.id = id;
  placed.first_row = table_first_row(memory_.services[id].table);
  placed.rows = 1U << table_log2_rows(memory_.services[id].table);
  placed.backends = std::move(found->second);
  adopted_.erase(found);
}

Result<> Publisher::put(const model::Service& service) {
  Placed placed;
  if (const auto found = placed_.find(service.name); found != placed_.end()) placed = found->second;
  if (placed.id == 0) take_over(service, placed);
  // A service of this name with another VIP, protocol or mode is another service: it goes when the new one stands.
  u32 outgoing = 0;
  std::map<std::string, u32> outgoing_backends;
  if (placed.id != 0) {
    if (!same_place(memory_.services[placed.id], service_record(service, 0))) {
      outgoing = placed.id;
      outgoing_backends = std::move(placed.backends);
      placed = Placed{};
    }
  }
  const bool fresh = placed.id == 0;
  if (fresh) {
    const auto id = take_rested([&](Time t) { return service_ids_.take(t); });
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
  auto written = add_backends(service, placed);
  if (written) written = write_rows(service, placed);
  if (!written) {  // gives back what this call has taken
    for (const auto& [endpoint, id] : placed.backends)
      if (!before.contains(endpoint)) withdraw_backend(id);
    if (fresh) service_ids_.give_back(placed.id, now());
    return written;
  }
  if (fresh) {
    if (!book_.add_service(placed.id, state_of(service.vip.address)))
      return fail(Fault::internal, "no room for service \"{}\": the index is full", service.name);
  }
  drop_absent(service, placed);
  placed_[service.name] = std::move(placed);
  if (outgoing != 0) {
    withdraw_service(outgoing);
    for (const auto& [endpoint, id] : outgoing_backends) withdraw_backend(id);
  }
  return {};
}

Result<> Publisher::add_backends(const model::Service& service, Placed& placed) {
  for (const model::Backend& backend : service.backends) {
    const std::string endpoint = model::to_text(backend.endpoint);
    if (placed.backends.contains(endpoint)) continue;
    const auto id = take_rested([&](Time t) { return backend_ids_.take(t); });
    if (!id)
      return fail(Fault::internal, "no room for {}/{}: the table of backends is full", service.name, backend.name);
    around_.backend_given(*id);
    memory_.backends[*id] =
        backend_record(service, placed.id, backend.endpoint, around_.hop_of(backend.endpoint.address));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    backends_at_.emplace(model::to_text(backend.endpoint.address), *id);
    placed.backends.emplace(endpoint, *id);
    if (!book_.add_backend(*id))
      return fail(Fault::internal, "no room for {}/{}: the index is full", service.name, backend.name);
  }
  return {};
}

Result<> Publisher::write_rows(const model::Service& service, Placed& placed) {
  std::vector<Member> members;
  for (const model::Backend& b : service.backends)
    members.push_back({b.endpoint, b.effective_weight(), placed.backends.at(model::to_text(b.endpoint))});
  const std::vector<u32> owners = build(seed_, service.protocol, service.vip, members, service.rows);

  const bool moves = placed.rows != service.rows;
  u32 first = placed.first_row;
  if (moves) {
    const auto taken = take_rested([&](Time t) { return row_pool_.take(service.rows, t); });
    if (!taken)
      return fail(Fault::internal, "no room for the {} rows of service \"{}\": raise limits.rows and restart",
                  service.rows, service.name);
    first = *taken;
  }
  placed.rows_owned.clear();
  for (u32 i = 0; i < service.rows; ++i) {
    const u32 owner = owners[i] == no_member ? nobody : owners[i];
    const Row row = settled_row(owner);
    if (Row& present = memory_.rows[first + i]; present != row) store_once(present, row);
    ++placed.rows_owned[owner];
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Service& record = memory_.services[placed.id];
  if (service.hash != HashOn::source) book_.set_hash(placed.id, service.hash, placed.backends);
  if (record.in_use == 0)
    record = service_record(service, first);
  else
    store_once(record.table, table_word_of(service, first));
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (service.hash == HashOn::source) book_.set_hash(placed.id, service.hash, placed.backends);
  if (moves && placed.rows != 0) row_pool_.give_back(placed.first_row, placed.rows, now());
  placed.first_row = first;
  placed.rows = service.rows;
  return {};
}

void Publisher::drop_absent(const model::Service& service, Placed& placed) {
  std::map<std::string, u32> absent = placed.backends;
  for (const model::Backend& backend : service.backends) absent.erase(model::to_text(backend.endpoint));
  for (const auto& [endpoint, id] : absent) {
    withdraw_backend(id);
    placed.backends.erase(endpoint);
  }
}

void Publisher::remove(const std::string& name) {
  const auto found = placed_.find(name);
  if (found == placed_.end()) return;
  withdraw_service(found->second.id);
  for (const auto& [endpoint, id] : found->second.backends) withdraw_backend(id);
  placed_.erase(found);
}

void Publisher::withdraw_service(u32 id) {
  Service& record = memory_.services[id];
  book_.remove_service(id);
  row_pool_.give_back(table_first_row(record.table), 1U << table_log2_rows(record.table), now());
  store_once(record.in_use, 0U);
  service_ids_.give_back(id, now());
}

void Publisher::withdraw_backend(u32 id) {
  Backend& record = memory_.backends[id];
  book_.remove_backend(id);
  auto [at, end] = backends_at_.equal_range(model::to_text(record.address));
  while (at != end && at->second != id) ++at;
  if (at != end) backends_at_.erase(at);
  store_once(record.in_use, 0U);
  backend_ids_.give_back(id, now());
}

void Publisher::settle() {
  for (const auto& [id, backends] : std::exchange(adopted_, {})) {
    withdraw_service(id);
    for (const auto& [endpoint, backend] : backends) withdraw_backend(backend);
  }
  book_.settle();
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

// SPDX-License-Identifier: Apache-2.0
// What an earlier daemon has left in the tables.
#include <utility>

#include "control/model/text.hpp"
#include "control/table/publisher.hpp"

namespace weir::table {
namespace {

std::string endpoint_text(const Backend& b) { return model::to_text(model::Endpoint{b.address, to_host(b.port)}); }

}  // namespace

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
    const auto service = adopted_.find(record.service);
    if (service == adopted_.end() || !service->second.emplace(endpoint_text(record), id).second) withdraw_backend(id);
  }
}

// Backends that an earlier daemon had removed go on leaving, the others come as wanted ones: those that the service
// does not have any more are then removed like any other.
void Publisher::take_over(const model::Service& service, Placed& placed) {
  const Service wanted = service_record(service, 0);
  const u32 id = book_.service_at(wanted);
  const auto found = adopted_.find(id);
  if (found == adopted_.end() || memory_.services[id].mode != service.mode) return;
  placed.id = id;
  placed.first_row = table_first_row(memory_.services[id].table);
  placed.rows = 1U << table_log2_rows(memory_.services[id].table);
  for (const auto& [endpoint, backend] : found->second) {
    if (memory_.backends[backend].in_use != held_for_flows) {
      placed.backends.emplace(endpoint, backend);
      continue;
    }
    placed.leaving.emplace(endpoint, Leaving{backend, tick()});
    around_.hop_needed(memory_.backends[backend].address, true);
  }
  adopted_.erase(found);
  // How long rows have been moving is not known, so they begin anew; nor what the flow table holds of settled ones.
  for (const Row row : rows_of(placed)) {
    placed.totals.moving += row_state(row) == RowState::moving ? 1 : 0;
    placed.totals.pinned += row_state(row) == RowState::pinned ? 1 : 0;
  }
  if (!placed.is_settled()) placed.since.assign(placed.rows, tick());
  placed.changed = placed.settled_at = tick_after_rest();
  placed.lingering = true;
}

void Publisher::settle() {
  for (const auto& [id, backends] : std::exchange(adopted_, {})) {
    Placed placed;
    placed.id = id;
    placed.backends = backends;
    withdraw(placed);
  }
  book_.settle();
}

}  // namespace weir::table

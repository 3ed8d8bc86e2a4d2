// SPDX-License-Identifier: Apache-2.0
// Planning ahead: would a plan find room? Follows the order in which Publisher::apply takes and gives back.
#include "control/model/text.hpp"
#include "control/table/publisher.hpp"

namespace weir::table {

Result<> Publisher::reserve(const model::Plan& plan) const {
  RowPool rows = row_pool_;
  rows.wake();
  u32 services = service_ids_.available() + static_cast<u32>(retired_services_.size());
  u32 backends = backend_ids_.available() + static_cast<u32>(retired_backends_.size());
  const auto give_up = [&](const Placed& placed) {
    rows.give_back(placed.first_row, placed.rows, Time{});
    rows.wake();
    ++services;
    backends += static_cast<u32>(placed.backends.size() + placed.leaving.size());
  };
  bool removed = false;
  const auto remove_gone = [&] {
    removed = true;
    for (const model::Step& step : plan.steps)
      if (const Placed* gone = step.after ? nullptr : placed(step.name)) give_up(*gone);
  };
  for (const model::Step& step : plan.steps) {
    if (!step.after) continue;
    const Placed* present = placed(step.name);
    const bool same = present && step.before && step.before->vip == step.after->vip &&
                      step.before->protocol == step.after->protocol && step.before->mode == step.after->mode;
    const bool moves = !same || present->rows != step.after->rows;
    u32 newcomers = 0;
    for (const model::Backend& b : step.after->backends)
      if (const std::string at = model::to_text(b.endpoint);
          !same || !(present->backends.contains(at) || present->leaving.contains(at)))
        ++newcomers;
    const auto fits = [&] {
      return (same || services > 0) && backends >= newcomers && (!moves || rows.take(step.after->rows, Time{}));
    };
    bool placed_now = fits();
    if (!placed_now && !removed) {
      remove_gone();
      placed_now = fits();
    }
    if (!placed_now)
      return fail(Fault::conflict,
                  "no room for service \"{}\" with {} rows in one piece and {} new backends beside what is published: "
                  "remove something first, or raise [limits], remove the fast path (lbd --detach) and start again",
                  step.name, step.after->rows, newcomers);
    backends -= newcomers;
    if (!same) --services;
    if (present && !same) give_up(*present);
    if (present && same && moves) {
      rows.give_back(present->first_row, present->rows, Time{});
      rows.wake();
    }
  }
  return {};
}

}  // namespace weir::table

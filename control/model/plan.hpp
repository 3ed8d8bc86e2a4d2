// SPDX-License-Identifier: Apache-2.0
// A change that has been checked and not yet made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/model/service.hpp"

namespace weir::model {

/// One service's step from one state to the next; either side may be absent.
struct Step {
  std::string name;
  std::shared_ptr<const Service> before;
  std::shared_ptr<const Service> after;
};

/// What a change would do to one service's rows and flows.
struct Effect {
  std::string service;
  u32 rows = 0;            ///< of its forwarding table, after the change
  u32 rows_moved = 0;      ///< whose owner would be another one
  u64 flows_known = 0;     ///< that the flow table holds now
  u64 flows_affected = 0;  ///< of those, how many would be reset or would pick anew
  bool complete = false;   ///< no flow outside the flow table would be reset or pick anew either

  /// Of the rows, 0..1, how many would move.
  [[nodiscard]] double share() const { return rows == 0 ? 0 : static_cast<double>(rows_moved) / rows; }
};

/// A planned change: what to publish, and what to tell the operator ("web/b1 weight 100 -> 50").
struct Plan {
  std::vector<Step> steps;           ///< empty: the desired state is already so
  std::vector<std::string> lines;    ///< one per object that changes, old -> new
  std::vector<Effect> effects = {};  ///< one per step, where they were asked for (a dry run); Pool leaves it empty
};

}  // namespace weir::model

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

/// A planned change: what to publish, and what to tell the operator ("web/b1 weight 100 -> 50").
struct Plan {
  std::vector<Step> steps;         ///< empty: the desired state is already so
  std::vector<std::string> lines;  ///< one per object that changes, old -> new
};

}  // namespace weir::model

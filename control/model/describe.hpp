// SPDX-License-Identifier: Apache-2.0
// A step in an operator's words.
#pragma once

#include <string>
#include <vector>

#include "control/model/plan.hpp"

namespace weir::model {

/// One line per object that differs between the two sides: "web added", "web/b1 weight 100 -> 50, active -> draining".
/// The order of backends is no difference.
[[nodiscard]] std::vector<std::string> describe(const Step& step);

}  // namespace weir::model

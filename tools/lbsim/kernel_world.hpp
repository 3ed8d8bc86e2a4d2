// SPDX-License-Identifier: Apache-2.0
// A world made real: a network namespace of this process alone with the world's interfaces, routes and neighbours.
#pragma once

#include "control/model/result.hpp"
#include "tools/lbsim/world.hpp"

namespace weir::lbsim {

/// Leaves the network namespace that the process is in, for good: its own goes when the process ends. Needs root.
[[nodiscard]] Result<> enter_kernel_world(const World& world);

}  // namespace weir::lbsim

// SPDX-License-Identifier: Apache-2.0
// Consistent hashing after "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4: what
// other balancers use, as the yardstick for the table that Weir builds.
#pragma once

#include <span>
#include <vector>

#include "control/table/race.hpp"

namespace weir::lbchurn {

/// As table::build(). Over 2^k rows, with steps that grow: the paper's are for a prime number of rows.
[[nodiscard]] std::vector<u32> maglev(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                                      std::span<const table::Member> members, u32 rows);

}  // namespace weir::lbchurn

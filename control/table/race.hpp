// SPDX-License-Identifier: Apache-2.0
// The forwarding table as the outcome of a race: every member walks all rows in an order of its own, at the speed of
// its weight, and a row belongs to whoever comes first. See Decisions in control/README.md for why it is not Maglev.
#pragma once

#include <span>
#include <vector>

#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::table {

/// What a row holds when no member has a weight.
inline constexpr u32 no_member = 0xffffffff;

struct Member {
  model::Endpoint endpoint;  ///< the identity: its walk over the rows depends on this and not on its position
  u32 weight = 0;            ///< 0..model::max_weight; 0 gets no row
  u32 value = 0;             ///< what its rows hold
};

/// Builds the forwarding table of one service: `rows` entries (a power of two, 2^20 at most), each some member's
/// `value`. Members get rows in proportion to their weights, to within one row each. Same arguments give the same table
/// on every host, in whatever order the members come; a change of one member moves few rows of the others.
[[nodiscard]] std::vector<u32> build(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                                     std::span<const Member> members, u32 rows);

}  // namespace weir::table

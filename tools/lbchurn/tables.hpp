// SPDX-License-Identifier: Apache-2.0
// Balance and disruption of forwarding tables: how even they are, and how many rows a change moves.
#pragma once

#include <string>
#include <vector>

#include "control/model/result.hpp"
#include "control/table/race.hpp"

namespace weir::lbchurn {

using Build = std::vector<u32> (*)(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                                   std::span<const table::Member> members, u32 rows);

struct Algorithm {
  const char* name;
  const char* what;
  Build build;
};
/// race is what lbd builds; the others are what it is measured against.
[[nodiscard]] const std::vector<Algorithm>& algorithms();

struct TableStudy {
  std::vector<std::string> algorithms;
  std::vector<u32> members;
  std::vector<u32> rows;  ///< powers of two
  u32 trials = 10;        ///< each with a table seed of its own and another member changed
  u64 seed = 1;
};

/// Rows moved, in units of the fewest that could move: those that members gain in number.
struct Disruption {
  double removing = 0;
  double adding = 0;
  double reweighting = 0;  ///< one member to half its weight
};

struct TableFigures {
  std::string algorithm;
  u32 members = 0;
  u32 rows = 0;
  double load = 0;  ///< the most rows that a member of equal weights holds over the average, worst of all trials
  Disruption moved;
  double build = 0;  ///< median CPU time of a build, in ms
};

[[nodiscard]] Result<std::vector<TableFigures>> study(const TableStudy& wanted);

}  // namespace weir::lbchurn

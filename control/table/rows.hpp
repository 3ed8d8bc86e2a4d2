// SPDX-License-Identifier: Apache-2.0
// Forwarding tables as a whole: what a table of another size takes over, and what a change would move. Pure.
//
// A flow's row is the upper bits of its hash, so a table twice as large splits each row into two neighbours, and one of
// half the size joins two.
#pragma once

#include <bit>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "control/table/row_change.hpp"

namespace weir::table {

/// The rows of a table, as one of `rows` rows sees them. Both sizes are powers of two; `old` may be empty.
class RowsBefore {
 public:
  RowsBefore(std::span<const Row> old, u32 rows)
      : old_(old),
        grow_(old.size() < rows && !old.empty() ? std::countr_zero(rows) - std::countr_zero(old.size()) : 0),
        shrink_(old.size() > rows ? std::countr_zero(old.size()) - std::countr_zero(rows) : 0) {}

  /// The old rows whose flows fall on row `i`: one, unless the table shrinks.
  [[nodiscard]] std::span<const Row> of(u32 i) const { return old_.subspan(first(i), std::size_t{1} << shrink_); }
  /// The first of them, as an index.
  [[nodiscard]] std::size_t first(u32 i) const { return (std::size_t{i} >> grow_) << shrink_; }
  [[nodiscard]] bool joins() const { return shrink_ > 0; }

 private:
  std::span<const Row> old_;
  int grow_, shrink_;
};

using AliveFunction = std::function<bool(u32 id)>;

/// One word for rows that are joined. Their flows that nobody remembers go on at one backend alone: the living one that
/// most of the rows had; the others' are lost, which loses_flows() tells.
[[nodiscard]] Row joined(std::span<const Row> rows, const AliveFunction& alive);

/// Whether flows that nobody remembers leave a living backend when the table becomes one of `rows` rows; adds the
/// backends that lose them.
bool loses_flows(std::span<const Row> old, u32 rows, const AliveFunction& alive, std::vector<u32>& losers);

/// How many rows of the table of `owners` have another owner than before. None where there was no table.
[[nodiscard]] u32 count_moved(std::span<const Row> old, std::span<const u32> owners);

}  // namespace weir::table

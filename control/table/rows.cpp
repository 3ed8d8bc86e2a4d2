// SPDX-License-Identifier: Apache-2.0
#include "control/table/rows.hpp"

#include <algorithm>
#include <map>

namespace weir::table {

Row joined(std::span<const Row> rows, const AliveFunction& alive) {
  if (std::all_of(rows.begin(), rows.end(), [&](Row row) { return row == rows.front(); })) return rows.front();
  std::map<u32, u32> shares;  // in the order of the ids, so that every node decides a tie alike
  for (const Row row : rows)
    if (const u32 owner = owner_of_unknown(row); owner != nobody && alive(owner)) ++shares[owner];
  if (shares.empty()) return pinned_row(row_owner(rows.front()));
  const auto most =
      std::max_element(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return pinned_row(most->first);
}

bool loses_flows(std::span<const Row> old, u32 rows, const AliveFunction& alive, std::vector<u32>& losers) {
  const RowsBefore before(old, rows);
  if (old.empty() || !before.joins()) return false;
  std::vector<u32> lost;
  for (u32 i = 0; i < rows; ++i) {
    const u32 kept = owner_of_unknown(joined(before.of(i), alive));
    for (const Row row : before.of(i))
      if (const u32 owner = owner_of_unknown(row); owner != kept && owner != nobody && alive(owner))
        lost.push_back(owner);
  }
  std::sort(lost.begin(), lost.end());
  lost.erase(std::unique(lost.begin(), lost.end()), lost.end());
  losers.insert(losers.end(), lost.begin(), lost.end());
  return !lost.empty();
}

u32 count_moved(std::span<const Row> old, std::span<const u32> owners) {
  if (old.empty()) return 0;
  const RowsBefore before(old, static_cast<u32>(owners.size()));
  u32 moved = 0;
  for (u32 i = 0; i < owners.size(); ++i) {
    const auto rows = before.of(i);
    moved += std::any_of(rows.begin(), rows.end(), [&](Row row) { return row_owner(row) != owners[i]; }) ? 1 : 0;
  }
  return moved;
}

}  // namespace weir::table

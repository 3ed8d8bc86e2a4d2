// SPDX-License-Identifier: Apache-2.0
// What the publisher remembers of one service that stands in the tables.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/tables.hpp"

namespace weir::table {

/// Whether a pass that began at `pass` has seen all that was so at `tick`.
[[nodiscard]] constexpr bool is_later(u32 pass, u32 tick) { return static_cast<int>(pass - tick) > 0; }

/// Backend::in_use of a record that is held for the flows of a removed backend: a restarted daemon has to tell it from
/// one that its configuration has lost meanwhile.
inline constexpr u32 held_for_flows = 2;

/// A removed backend whose flows still need its record. Its state there says what they need it for: draining, they go
/// on; resetting, they are told to end.
struct Leaving {
  u32 id = 0;
  u32 since = 0;  ///< tick
};

/// Rows that are not settled.
struct RowTotals {
  u32 moving = 0;
  u32 pinned = 0;
  friend bool operator==(const RowTotals&, const RowTotals&) = default;
};

/// Ids and shares of a published service, and how far its rows have come.
struct Placed {
  u32 id = 0;
  u32 first_row = 0;
  u32 rows = 0;
  std::map<std::string, u32> backends;      ///< endpoint's text -> backend id: those that the model has
  std::map<std::string, Leaving> leaving;   ///< likewise: those that it has no more
  std::unordered_map<u32, u32> rows_owned;  ///< backend id -> rows
  u64 moved = 0;                            ///< rows that have been given another owner

  RowTotals totals;
  std::vector<u32> since;                   ///< by row: tick when it began to move; empty while all are settled
  u32 changed = 0;                          ///< tick of the last change of a row or backend
  u32 settled_at = 0;                       ///< tick when rows last settled; their flows stay until a pass frees them
  bool lingering = false;                   ///< whether such flows may still be there
  u32 window = 0;                           ///< ticks for which a row moves
  std::unordered_map<u32, u32> own_window;  ///< backend id -> the same for rows whose stable owner it is
  u32 idle = 0;                             ///< ticks after which a silent flow has ended
  u64 evicted = 0;                          ///< as the last survey said
  u32 evicted_at = 0;                       ///< tick when that number had grown; holds when it is not 0
  bool knows_all = false;                   ///< the flow table has every flow: no row needs to move before it is pinned

  /// Whether a pass that began at `pass` has seen all flows that came by rows and backends as they were before their
  /// last change.
  [[nodiscard]] bool is_seen_by(u32 pass) const { return is_later(pass, changed); }
  [[nodiscard]] bool is_settled() const { return totals == RowTotals{}; }
  [[nodiscard]] u32 window_of(u32 backend) const {
    const auto own = own_window.find(backend);
    return own == own_window.end() ? window : own->second;
  }
};

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
// How a row changes: from the word that stands there and what has happened to the word that is to stand there. Pure.
//
// A settled or pinned row's flows that nobody remembers are its owner's, a moving row's are its stable owner's. So
// however often a row changes hands, two owners say all there is to say: the owner for new flows, and that of the flows
// which were there before anything was remembered.
#pragma once

#include "dataplane/core/tables.hpp"

namespace weir::table {

/// The word of a pinned row. Its stable owner is its owner: whoever reads either half finds the one who counts.
[[nodiscard]] constexpr Row pinned_row(u32 owner) { return make_row(RowState::pinned, owner, owner); }
[[nodiscard]] constexpr Row moving_row(u32 owner, u32 stable) { return make_row(RowState::moving, owner, stable); }

/// Whose the flows are that the flow table does not know.
[[nodiscard]] constexpr u32 owner_of_unknown(Row row) {
  return row_state(row) == RowState::moving ? row_stable(row) : row_owner(row);
}

/// The word of a row that `wanted` is to own from now on; `nobody` is an owner that is not alive. `alive(u32 id)` says
/// whether a backend has to do with its flows: open, draining or resetting, but not dead.
template <class Alive>
[[nodiscard]] constexpr Row next_row(Row present, u32 wanted, const Alive& alive) {
  const auto lives = [&alive](u32 id) { return id != nobody && alive(id); };
  const u32 former = row_owner(present);
  const RowState state = row_state(present);
  if (state != RowState::moving) {
    if (former == wanted) return present;
    if (lives(former)) return moving_row(wanted, former);
    return state == RowState::settled ? settled_row(wanted) : pinned_row(wanted);
  }
  const u32 stable = row_stable(present);
  if (wanted == stable || !lives(stable)) return pinned_row(wanted);
  return moving_row(wanted, stable);
}

/// The word at the end of the settle window: flows that nobody has heard of meanwhile are the owner's.
[[nodiscard]] constexpr Row window_closed(Row row) {
  return row_state(row) == RowState::moving ? pinned_row(row_owner(row)) : row;
}

/// The word once the flow table knows no flow of the row that is another backend's.
[[nodiscard]] constexpr Row nobody_left(Row row) {
  return row_state(row) == RowState::pinned ? settled_row(row_owner(row)) : row;
}

}  // namespace weir::table

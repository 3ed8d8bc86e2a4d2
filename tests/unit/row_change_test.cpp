// SPDX-License-Identifier: Apache-2.0
#include "control/table/row_change.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <vector>

using namespace weir;
using table::moving_row;
using table::next_row;
using table::pinned_row;

namespace {

constexpr u32 a = 1, b = 2, c = 3;
const auto all_alive = [](u32) { return true; };
const auto none_alive = [](u32) { return false; };

/// Every word that a row of the backends 1..3 and nobody can be.
std::vector<Row> every_row() {
  std::vector<Row> rows;
  for (u32 owner = nobody; owner <= c; ++owner) {
    rows.push_back(settled_row(owner));
    rows.push_back(pinned_row(owner));
    for (u32 stable = a; stable <= c; ++stable)
      if (stable != owner) rows.push_back(moving_row(owner, stable));
  }
  return rows;
}

/// Calls `see(present, wanted, alive, next)` for every state and event.
template <class See>
void every_change(const See& see) {
  for (const Row present : every_row())
    for (u32 wanted = nobody; wanted <= c; ++wanted)
      for (u32 living = 0; living < 8; ++living) {
        const auto alive = [&](u32 id) { return (living >> (id - 1) & 1) != 0; };
        see(present, wanted, alive, next_row(present, wanted, alive));
      }
}

}  // namespace

TEST_CASE("the wanted owner takes the SYNs of a row, whatever the row was") {
  every_change([](Row, u32 wanted, const auto&, Row next) { CHECK(row_owner(next) == wanted); });
}

TEST_CASE("a flow that nobody remembers stays where it is as long as its backend is alive and a window is open") {
  every_change([](Row present, u32, const auto& alive, Row next) {
    const u32 before = table::owner_of_unknown(present);
    if (before == nobody || !alive(before)) return;
    CHECK(table::owner_of_unknown(next) == before);
  });
}

TEST_CASE("a row that holds remembered flows is never settled by a change of its owner") {
  every_change([](Row present, u32, const auto&, Row next) {
    if (row_state(present) != RowState::settled) CHECK(row_state(next) != RowState::settled);
  });
}

TEST_CASE("a row of a dead owner settles on the new one at once") {
  CHECK(next_row(settled_row(a), b, none_alive) == settled_row(b));
  CHECK(next_row(settled_row(a), nobody, none_alive) == settled_row(nobody));
  CHECK(next_row(settled_row(nobody), b, all_alive) == settled_row(b));
  CHECK(next_row(pinned_row(a), b, none_alive) == pinned_row(b));
  CHECK(next_row(pinned_row(nobody), b, all_alive) == pinned_row(b));
}

TEST_CASE("a row leaves a living owner by moving, and remembers it as stable however often it moves on") {
  CHECK(next_row(settled_row(a), b, all_alive) == moving_row(b, a));
  CHECK(next_row(moving_row(b, a), c, all_alive) == moving_row(c, a));
  CHECK(next_row(moving_row(b, a), nobody, all_alive) == moving_row(nobody, a));
  CHECK(next_row(moving_row(nobody, a), c, all_alive) == moving_row(c, a));
  CHECK(next_row(pinned_row(a), b, all_alive) == moving_row(b, a));
  CHECK(next_row(settled_row(a), nobody, all_alive) == moving_row(nobody, a));
}

TEST_CASE("a row that comes back to its stable owner is pinned there for the flows of those in between") {
  CHECK(next_row(moving_row(b, a), a, all_alive) == pinned_row(a));
  CHECK(next_row(moving_row(nobody, a), a, all_alive) == pinned_row(a));
}

TEST_CASE("a moving row whose stable owner has died is pinned on its owner, also where the owner stays") {
  CHECK(next_row(moving_row(b, a), b, none_alive) == pinned_row(b));
  CHECK(next_row(moving_row(b, a), c, none_alive) == pinned_row(c));
  CHECK(next_row(moving_row(b, a), b, [](u32 id) { return id == a; }) == moving_row(b, a));
}

TEST_CASE("a row whose owner stays is left alone, alive or not") {
  every_change([](Row present, u32 wanted, const auto& alive, Row next) {
    if (row_owner(present) != wanted) return;
    if (row_state(present) == RowState::moving && !alive(row_stable(present)))
      CHECK(next == pinned_row(wanted));
    else
      CHECK(next == present);
  });
}

TEST_CASE("a moving row has two different owners, of whom the stable one is alive") {
  every_change([](Row, u32, const auto& alive, Row next) {
    if (row_state(next) != RowState::moving) {
      CHECK(row_owner(next) == row_stable(next));
      return;
    }
    CHECK(row_owner(next) != row_stable(next));
    CHECK(row_stable(next) != nobody);
    CHECK(alive(row_stable(next)));
  });
}

TEST_CASE("a change made twice is the change made once") {
  every_change([](Row, u32 wanted, const auto& alive, Row next) { CHECK(next_row(next, wanted, alive) == next); });
}

TEST_CASE("the window's end pins moving rows alone, and an empty flow table settles pinned rows alone") {
  for (const Row row : every_row()) {
    const RowState state = row_state(row);
    CHECK(table::window_closed(row) == (state == RowState::moving ? pinned_row(row_owner(row)) : row));
    CHECK(table::nobody_left(row) == (state == RowState::pinned ? settled_row(row_owner(row)) : row));
  }
}

static_assert(next_row(settled_row(a), b, [](u32) { return true; }) == moving_row(b, a));

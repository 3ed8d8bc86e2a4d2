// SPDX-License-Identifier: Apache-2.0
// The life of one neighbour, with the clock in the test's hand.
#include "control/net/neighbour_life.hpp"

#include <linux/neighbour.h>

#include <catch2/catch.hpp>

using namespace weir;
using namespace weir::net;
using namespace std::chrono_literals;
using Ask = NeighbourLife::Ask;

namespace {

constexpr MacBits mac_a = 0xa;
constexpr MacBits mac_b = 0xb;
const Time start = Time() + 1h;

NeighbourEntry entry(u16 nud, MacBits mac = 0) { return {.nud = nud, .mac = mac}; }

}  // namespace

TEST_CASE("a neighbour without entry is asked for at once, and again when the kernel stays silent") {
  NeighbourLife life(start);
  life.heard(std::nullopt, start);
  CHECK(life.state() == HopState::resolving);
  REQUIRE(life.due() == start);
  CHECK(life.next(start) == Ask::use);
  REQUIRE(life.due() == start + 5s);
  CHECK(life.next(start + 5s) == Ask::use);
  CHECK(life.state() == HopState::failed);
}

TEST_CASE("an entry that failed before the watch began is tried before it counts as failed") {
  NeighbourLife life(start);
  life.heard(entry(NUD_FAILED), start);
  CHECK(life.state() == HopState::resolving);
  CHECK(life.next(start) == Ask::use);
  life.heard(entry(NUD_FAILED), start + 3s);
  CHECK(life.state() == HopState::failed);
}

TEST_CASE("a failed neighbour is asked for after 1, 2, 4, 8, 10, 10 s, and success resets the pause") {
  NeighbourLife life(start);
  Time now = start;
  life.heard(std::nullopt, now);
  for (const auto pause : {1s, 2s, 4s, 8s, 10s, 10s}) {
    CHECK(life.next(now) == Ask::use);
    now += 3s;
    life.heard(entry(NUD_FAILED), now);
    CHECK(life.state() == HopState::failed);
    REQUIRE(life.due() == now + pause);
    now += pause;
  }
  life.heard(entry(NUD_REACHABLE, mac_a), now);
  CHECK(life.state() == HopState::resolved);
  life.heard(std::nullopt, now);
  life.next(now);
  life.heard(entry(NUD_FAILED), now);
  CHECK(life.due() == now + 1s);
}

TEST_CASE("a reachable neighbour is confirmed by unicast after 1 s and looked for by broadcast 0.5 s later") {
  NeighbourLife life(start);
  life.heard(entry(NUD_REACHABLE, mac_a), start);
  REQUIRE(life.due() == start + 1s);
  CHECK_FALSE(life.urgent());
  CHECK(life.next(start + 1s) == Ask::probe);
  life.heard(entry(NUD_PROBE, mac_a), start + 1s);
  REQUIRE(life.due() == start + 1500ms);
  CHECK(life.urgent());
  CHECK(life.next(start + 1500ms) == Ask::renew);
  life.heard(entry(NUD_NONE), start + 1500ms);
  CHECK(life.state() == HopState::resolved);
  CHECK(life.mac() == mac_a);
  life.heard(entry(NUD_REACHABLE, mac_b), start + 1501ms);
  CHECK(life.mac() == mac_b);
}

TEST_CASE("a neighbour that only unicast failed to find is looked for by broadcast before it counts as failed") {
  NeighbourLife life(start);
  life.heard(entry(NUD_REACHABLE, mac_a), start);
  life.heard(entry(NUD_FAILED), start + 500ms);
  CHECK(life.state() == HopState::resolved);
  REQUIRE(life.due() == start + 500ms);
  CHECK(life.next(start + 500ms) == Ask::use);
  life.heard(entry(NUD_FAILED), start + 3500ms);
  CHECK(life.state() == HopState::failed);
  CHECK(life.mac() == 0);
}

TEST_CASE("a neighbour whose answers leave it stale is not asked more than once a second") {
  NeighbourLife life(start);
  life.heard(entry(NUD_STALE, mac_a), start);
  REQUIRE(life.due() == start);
  CHECK(life.next(start) == Ask::probe);
  life.heard(entry(NUD_PROBE, mac_a), start);
  life.heard(entry(NUD_STALE, mac_a), start + 1ms);
  CHECK(life.due() == start + 1s);
}

TEST_CASE("an entry that keeps vanishing is asked for at most four times a second") {
  NeighbourLife life(start);
  life.heard(std::nullopt, start);
  CHECK(life.next(start) == Ask::use);
  life.heard(std::nullopt, start + 1ms);
  CHECK(*life.due() >= start + 250ms);
  CHECK(*life.due() <= start + 1s);
}

TEST_CASE("fixed entries and those of others are never asked about") {
  for (const u16 nud : {u16{NUD_PERMANENT}, u16{NUD_NOARP}}) {
    NeighbourLife life(start);
    life.heard(entry(nud, mac_a), start);
    CHECK(life.state() == HopState::resolved);
    CHECK_FALSE(life.due());
  }
  NeighbourLife life(start);
  life.heard(NeighbourEntry{.nud = NUD_REACHABLE, .mac = mac_a, .kept_by_others = true}, start);
  CHECK_FALSE(life.due());
}

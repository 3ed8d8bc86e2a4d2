// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/reachability.hpp"

#include <catch2/catch.hpp>

#include "control/model/text.hpp"

namespace {

using namespace weir;
using net::HopState;
using net::NextHop;

const Ip backend = model::parse_ip("198.51.100.1").value();
const Ip backend6 = model::parse_ip("2001:db8:b::1").value();
const Ip gateway = model::parse_ip("192.0.2.1").value();
const Ip gateway6 = model::parse_ip("fe80::1").value();

NextHop on_link(HopState state, const Ip& address = backend) { return {state, 3, "l1", address, true, 0}; }
NextHop behind(HopState state, const Ip& via = gateway) { return {state, 3, "l1", via, false, 0}; }

void expect_error(const Result<>& result, Fault fault, const std::string& sentence) {
  REQUIRE_FALSE(result);
  CHECK(result.error().fault == fault);
  CHECK(result.error().message == sentence);
}

}  // namespace

TEST_CASE("a resolved next hop on an attached interface is fit for any mode, for l2dsr only when on-link") {
  for (const Mode mode : {Mode::nat, Mode::ipip, Mode::gue}) {
    CHECK(daemon::judge_hop(backend, mode, on_link(HopState::resolved), true));
    CHECK(daemon::judge_hop(backend, mode, behind(HopState::resolved), true));
    CHECK(daemon::judge_hop(backend6, mode, behind(HopState::resolved, gateway6), true));
  }
  CHECK(daemon::judge_hop(backend, Mode::l2dsr, on_link(HopState::resolved), true));
}

TEST_CASE("a backend without a route is refused and --force overrides") {
  expect_error(daemon::judge_hop(backend, Mode::nat, NextHop{}, true), Fault::refused,
               "no route to backend 198.51.100.1: add one (ip route add ...) or correct the address");
}

TEST_CASE("a backend on this host is invalid, attached or not") {
  for (const bool attached : {false, true})
    expect_error(daemon::judge_hop(backend, Mode::nat, on_link(HopState::local), attached), Fault::invalid,
                 "backend 198.51.100.1 is an address of this host: packets to it never leave; use another host's");
}

TEST_CASE("a backend behind an interface without Ethernet is invalid") {
  expect_error(daemon::judge_hop(backend, Mode::nat, {HopState::loopback_or_unusable, 1, "tun0", {}, false, 0}, false),
               Fault::invalid, "backend 198.51.100.1 is reached through tun0, which carries no Ethernet frames");
}

TEST_CASE("a backend behind an interface that is not attached is refused, whatever its neighbour's state") {
  for (const HopState state : {HopState::resolved, HopState::resolving, HopState::failed})
    expect_error(daemon::judge_hop(backend, Mode::nat, on_link(state), false), Fault::refused,
                 "backend 198.51.100.1 is reached through l1, which is not in `interfaces`: add it there and restart "
                 "lbd");
}

TEST_CASE("l2dsr refuses a backend behind a gateway") {
  expect_error(daemon::judge_hop(backend, Mode::l2dsr, behind(HopState::resolved), true), Fault::refused,
               "backend 198.51.100.1 is behind the gateway 192.0.2.1, but mode l2dsr needs it on the same L2 network");
}

TEST_CASE("a neighbour that does not answer is named with its protocol and interface") {
  for (const HopState state : {HopState::resolving, HopState::failed}) {
    const std::string end = " on l1: is the host up and in that network?";
    expect_error(daemon::judge_hop(backend, Mode::nat, on_link(state), true), Fault::refused,
                 "backend 198.51.100.1 does not answer ARP" + end);
    expect_error(daemon::judge_hop(backend, Mode::nat, behind(state), true), Fault::refused,
                 "gateway 192.0.2.1 does not answer ARP" + end);
    expect_error(daemon::judge_hop(backend6, Mode::nat, on_link(state, backend6), true), Fault::refused,
                 "backend 2001:db8:b::1 does not answer neighbour discovery" + end);
    expect_error(daemon::judge_hop(backend6, Mode::nat, behind(state, gateway6), true), Fault::refused,
                 "gateway fe80::1 does not answer neighbour discovery" + end);
  }
}

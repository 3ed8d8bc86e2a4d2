// SPDX-License-Identifier: Apache-2.0
// Routes, links and addresses, in network namespaces of the test's own.
#include <catch2/catch.hpp>
#include <chrono>

#include "tests/net/bed.hpp"

using namespace weir;
using namespace weir::net;

namespace {

int elapsed_ms(std::chrono::steady_clock::time_point since) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since).count());
}

}  // namespace

TEST_CASE("an on-link IPv4 address resolves to its own MAC") {
  Bed bed;
  bed.open();
  const NextHop hop = bed.resolve("198.51.100.2");
  CHECK(hop.state == HopState::resolved);
  CHECK(mac_text(hop.mac) == "02:00:00:00:00:02");
  CHECK(hop.interface == "a0");
  CHECK(hop.ifindex == bed.watcher().link("a0")->ifindex);
  CHECK(hop.on_link);
  CHECK(hop.gateway == ip("198.51.100.2"));
}

TEST_CASE("an on-link IPv6 address resolves to its own MAC") {
  Bed bed;
  bed.open();
  const NextHop hop = bed.resolve("2001:db8:1::2");
  CHECK(hop.state == HopState::resolved);
  CHECK(hop.mac == peer_mac);
  CHECK(hop.on_link);
}

TEST_CASE("an address behind a gateway resolves to the gateway's MAC in both families and across them") {
  Bed bed;
  bed.host("route add 203.0.113.0/24 via 198.51.100.2");
  bed.host("route add 2001:db8:2::/64 via 2001:db8:1::2");
  bed.host("route add 192.0.2.0/24 via inet6 2001:db8:1::2 dev a0");
  bed.open();
  for (const auto& [target, gateway] :
       {std::pair{"203.0.113.7", "198.51.100.2"}, {"2001:db8:2::7", "2001:db8:1::2"}, {"192.0.2.7", "2001:db8:1::2"}}) {
    const NextHop hop = bed.resolve(target);
    INFO(target);
    CHECK(hop.state == HopState::resolved);
    CHECK(hop.mac == peer_mac);
    CHECK_FALSE(hop.on_link);
    CHECK(hop.gateway == ip(gateway));
  }
}

TEST_CASE("a multipath route gives one of its gateways") {
  Bed bed;
  bed.peer("addr add 198.51.100.3/24 dev b0");
  bed.host("route add 203.0.113.0/24 nexthop via 198.51.100.2 nexthop via 198.51.100.3");
  bed.open();
  const NextHop hop = bed.resolve("203.0.113.7");
  CHECK(hop.state == HopState::resolved);
  CHECK((hop.gateway == ip("198.51.100.2") || hop.gateway == ip("198.51.100.3")));
}

TEST_CASE("no route - rejecting routes - broadcast and multicast are no_route at once") {
  Bed bed;
  for (const char* kind : {"unreachable", "blackhole", "prohibit"}) {
    const std::string digit = std::to_string(1 + (kind[0] == 'b') + 2 * (kind[0] == 'p'));
    bed.host(std::string("route add ") + kind + " 10.0.0." + digit);
    bed.host(std::string("route add ") + kind + " 2001:db8:3::" + digit);
  }
  bed.open();
  const auto began = std::chrono::steady_clock::now();
  for (const char* target : {"192.0.2.1", "2001:db8:9::1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8:3::1",
                             "2001:db8:3::2", "2001:db8:3::3", "198.51.100.255", "224.0.0.1"}) {
    INFO(target);
    CHECK(bed.resolve(target).state == HopState::no_route);
  }
  CHECK(elapsed_ms(began) < 500);
}

TEST_CASE("an address of the host is local, in loopback's network too") {
  Bed bed;
  bed.open();
  for (const char* target : {"198.51.100.1", "2001:db8:1::1", "127.0.0.1", "::1"}) {
    INFO(target);
    CHECK(bed.resolve(target).state == HopState::local);
    CHECK(bed.watcher().is_local(ip(target)));
  }
  CHECK_FALSE(bed.watcher().is_local(ip("198.51.100.2")));
}

TEST_CASE("a route out of an interface without Ethernet frames is unusable") {
  Bed bed;
  bed.host("tuntap add dev t0 mode tun");
  bed.host("link set t0 up");
  bed.host("route add 10.1.0.0/16 dev t0");
  bed.host("route add 10.2.0.0/16 dev lo");
  bed.open();
  const NextHop tunnel = bed.resolve("10.1.0.1");
  CHECK(tunnel.state == HopState::loopback_or_unusable);
  CHECK(tunnel.interface == "t0");
  CHECK(bed.resolve("10.2.0.1").state == HopState::loopback_or_unusable);
}

TEST_CASE("resolve() answers failed in under 5 s for an address that nobody has") {
  Bed bed;
  bed.open();
  const auto began = std::chrono::steady_clock::now();
  const NextHop hop = bed.resolve("198.51.100.77", 5000);
  CHECK(hop.state == HopState::failed);
  CHECK(hop.interface == "a0");
  CHECK(hop.mac == 0);
  CHECK(elapsed_ms(began) < 4900);
}

TEST_CASE("resolve() answers resolving when its time is over first") {
  Bed bed;
  bed.open();
  const auto began = std::chrono::steady_clock::now();
  CHECK(bed.resolve("198.51.100.77", 300).state == HopState::resolving);
  CHECK(elapsed_ms(began) >= 290);
  CHECK(elapsed_ms(began) < 1000);
  CHECK_FALSE(bed.watcher().current(ip("198.51.100.77")));  // the watch of resolve() is over
}

TEST_CASE("resolve() of a neighbour that failed before asks again and finds it") {
  Bed bed;
  bed.open().watch(ip("198.51.100.77"));
  REQUIRE(bed.until([&] { return bed.reported("198.51.100.77", HopState::failed); }, 5000));
  bed.peer("addr add 198.51.100.77/24 dev b0");
  CHECK(bed.resolve("198.51.100.77", 900).state == HopState::resolved);
}

TEST_CASE("a route that goes is reported as no_route and as resolved when it is back") {
  Bed bed;
  for (const auto& [target, remove, add] :
       {std::tuple{"203.0.113.7", "route del 203.0.113.0/24", "route add 203.0.113.0/24 via 198.51.100.2"},
        std::tuple{"2001:db8:2::7", "route del 2001:db8:2::/64", "route add 2001:db8:2::/64 via 2001:db8:1::2"}}) {
    bed.host(add);
    bed.open().watch(ip(target));
    REQUIRE(bed.until([&] { return bed.watcher().current(ip(target))->state == HopState::resolved; }));
    bed.run(50);
    bed.hops.clear();
    bed.host(remove);
    CHECK(bed.until([&] { return bed.reported(target, HopState::no_route); }, 500));
    bed.hops.clear();
    bed.host(add);
    CHECK(bed.until([&] { return bed.reported(target, HopState::resolved, peer_mac); }, 500));
  }
}

TEST_CASE("a next-hop object that changes under its route moves the target") {
  Bed bed;
  bed.peer("addr add 198.51.100.3/24 dev b0");
  bed.host_sysctl("ipv4/nexthop_compat_mode", "0");  // the kernel then does not repeat the routes that use it
  bed.host("nexthop add id 1 via 198.51.100.2 dev a0");
  bed.host("route add 203.0.113.0/24 nhid 1");
  bed.open().watch(ip("203.0.113.7"));
  REQUIRE(bed.until([&] { return bed.watcher().current(ip("203.0.113.7"))->state == HopState::resolved; }));
  bed.host("nexthop replace id 1 via 198.51.100.3 dev a0");
  CHECK(bed.until([&] { return bed.watcher().current(ip("203.0.113.7"))->gateway == ip("198.51.100.3"); }));
}

TEST_CASE("a link that loses its carrier or is set down is reported, and so is its return") {
  Bed bed;
  bed.open();
  REQUIRE(bed.resolve("198.51.100.2").state == HopState::resolved);
  bed.watcher().watch(ip("198.51.100.2"));
  REQUIRE(bed.watcher().link("a0")->up);
  bed.peer("link set b0 down");
  CHECK(bed.until([&] { return !bed.links.empty() && !bed.links.back().up; }));
  bed.peer("link set b0 up");
  CHECK(bed.until([&] { return bed.links.back().up; }));
  bed.host("link set a0 down");
  CHECK(bed.until([&] { return !bed.links.back().up; }));
  CHECK(bed.until([&] { return bed.reported("198.51.100.2", HopState::no_route); }));
  CHECK_FALSE(bed.watcher().link("a0")->up);
}

TEST_CASE("a renamed interface is found by its new name only, and reported with its hops") {
  Bed bed;
  bed.open().watch(ip("198.51.100.2"));
  REQUIRE(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved); }));
  bed.hops.clear();
  bed.host("link set a0 name renamed");
  REQUIRE(bed.until([&] { return bed.watcher().link("renamed").has_value(); }));
  CHECK_FALSE(bed.watcher().link("a0"));
  CHECK(bed.until([&] { return !bed.hops.empty() && bed.hops.back().second.interface == "renamed"; }));
}

TEST_CASE("an interface's own MAC and MTU are reported when they change") {
  Bed bed;
  bed.open();
  CHECK(bed.watcher().link("a0")->mac == host_mac);
  CHECK(bed.watcher().link("a0")->mtu == 1500);
  bed.host("link set a0 address 02:00:00:00:00:55 mtu 1400");
  CHECK(bed.until([&] {
    return !bed.links.empty() && bed.links.back().mtu == 1400 && mac_text(bed.links.back().mac) == "02:00:00:00:00:55";
  }));
}

TEST_CASE("a removed interface is reported as not up and is found no more") {
  Bed bed;
  bed.open();
  bed.host("link del a0");
  CHECK(bed.until([&] { return !bed.links.empty() && bed.links.back().name == "a0" && !bed.links.back().up; }));
  CHECK_FALSE(bed.watcher().link("a0"));
}

TEST_CASE("an interface that leaves a bridge is still there") {
  Bed bed;
  bed.host("link add br0 type bridge");
  bed.host("link set a0 master br0");
  bed.open();
  bed.host("link set a0 nomaster");
  bed.run(100);
  CHECK(bed.watcher().link("a0").has_value());
  for (const Link& link : bed.links) CHECK((link.up || link.name != "a0"));
}

TEST_CASE("an address that comes and goes is reported, and its target turns local and back") {
  Bed bed;
  bed.open().watch(ip("198.51.100.9"));
  bed.host("addr add 198.51.100.9/32 dev lo");
  CHECK(bed.until([&] { return bed.addresses == std::vector{std::pair{ip("198.51.100.9"), true}}; }));
  CHECK(bed.until([&] { return bed.reported("198.51.100.9", HopState::local); }));
  bed.host("addr add 198.51.100.9/24 dev a0");  // a second time: no news, and neither is one of two going
  bed.host("addr del 198.51.100.9/32 dev lo");
  bed.run(100);
  CHECK(bed.watcher().is_local(ip("198.51.100.9")));
  CHECK(bed.addresses.size() == 1);
  bed.host("addr del 198.51.100.9/24 dev a0");
  CHECK(bed.until([&] { return bed.addresses.size() == 2 && !bed.addresses.back().second; }));
  CHECK(bed.until([&] { return bed.watcher().current(ip("198.51.100.9"))->state == HopState::resolving; }));
}

TEST_CASE("a watch is counted") {
  Bed bed;
  Watcher& watcher = bed.open();
  watcher.watch(ip("198.51.100.2"));
  watcher.watch(ip("198.51.100.2"));
  watcher.unwatch(ip("198.51.100.2"));
  CHECK(watcher.current(ip("198.51.100.2")).has_value());
  watcher.unwatch(ip("198.51.100.2"));
  CHECK_FALSE(watcher.current(ip("198.51.100.2")));
  watcher.unwatch(ip("198.51.100.2"));
}

TEST_CASE("a Watcher may be destroyed with questions open and from within its own report") {
  Bed bed;
  bed.open();
  bed.watcher().resolve(ip("198.51.100.77"), 100, [](NextHop) { FAIL("answered after its end"); });
  bed.watcher().watch(ip("198.51.100.2"));
  bed.host("link set a0 mtu 1400");
  bed.close();
  bed.run(200);

  std::unique_ptr<Watcher> own;
  bool called = false;
  auto opened = Watcher::open(bed.loop, {.link_changed = [&](const Link&) {
                                called = true;
                                own.reset();
                              }});
  REQUIRE(opened);
  own = std::move(opened.value());
  bed.host("link set a0 mtu 1300");
  CHECK(bed.until([&] { return called; }));
  CHECK(own == nullptr);
  bed.run(50);
}

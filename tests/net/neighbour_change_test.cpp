// SPDX-License-Identifier: Apache-2.0
// What becomes of a neighbour after it was resolved.
#include <catch2/catch.hpp>

#include "tests/net/bed.hpp"

using namespace weir;
using namespace weir::net;

namespace {

void watch_resolved(Bed& bed, const char* target) {
  if (bed.watcher().watch(ip(target)).state != HopState::resolved)
    REQUIRE(bed.until([&] { return bed.reported(target, HopState::resolved); }));
  bed.run(1500);  // past the first confirmation
  bed.hops.clear();
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a MAC change announced by gratuitous ARP is reported within 100 ms") {
  Bed bed;
  bed.peer_sysctl("ipv4/conf/b0/arp_notify", "1");
  bed.open();
  watch_resolved(bed, "198.51.100.2");
  bed.peer("link set b0 address 02:00:00:00:00:99");
  CHECK(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved, other_peer_mac); }, 100));
  CHECK(bed.hops.size() == 1);
}

TEST_CASE("a MAC change announced by an unsolicited neighbour advertisement is reported within 100 ms") {
  Bed bed;
  bed.peer_sysctl("ipv6/conf/b0/ndisc_notify", "1");
  bed.open();
  watch_resolved(bed, "2001:db8:1::2");
  bed.peer("link set b0 address 02:00:00:00:00:99");
  CHECK(bed.until([&] { return bed.reported("2001:db8:1::2", HopState::resolved, other_peer_mac); }, 100));
}

TEST_CASE("a MAC change that nobody announces is reported within 2 s with no other state in between") {
  for (const char* target : {"198.51.100.2", "2001:db8:1::2"}) {
    Bed bed;
    bed.peer_sysctl("ipv4/conf/b0/arp_notify", "0");
    bed.peer_sysctl("ipv6/conf/b0/ndisc_notify", "0");
    bed.open();
    watch_resolved(bed, target);
    bed.peer("link set b0 address 02:00:00:00:00:99");
    INFO(target);
    CHECK(bed.until([&] { return bed.reported(target, HopState::resolved, other_peer_mac); }, 2000));
    CHECK(bed.hops.size() == 1);
  }
}

TEST_CASE("a MAC change of a gateway is reported for every target behind it and for no other") {
  Bed bed;
  bed.peer_sysctl("ipv4/conf/b0/arp_notify", "1");
  bed.host("route add 203.0.113.0/24 via 198.51.100.2");
  bed.open();
  for (int i = 1; i <= 100; ++i) bed.watcher().watch(ip(("203.0.113." + std::to_string(i)).c_str()));
  bed.watcher().watch(ip("2001:db8:1::2"));
  REQUIRE(bed.until([&] { return bed.hops.size() == 101; }));
  bed.hops.clear();
  const u64 lookups = bed.watcher().counters().route_lookups;
  bed.peer("link set b0 address 02:00:00:00:00:99");
  CHECK(bed.until([&] { return bed.hops.size() == 100; }, 200));
  CHECK_FALSE(bed.reported("2001:db8:1::2", HopState::resolved));
  CHECK(bed.watcher().counters().route_lookups == lookups);
}

TEST_CASE(
    "a neighbour that falls silent is reported as failed within 5.5 s and as resolved within 11 s of its return") {
  Bed bed;
  bed.open();
  watch_resolved(bed, "198.51.100.2");
  bed.peer("addr del 198.51.100.2/24 dev b0");
  CHECK(bed.until([&] { return bed.reported("198.51.100.2", HopState::failed); }, 5500));
  CHECK(bed.hops.size() == 1);
  bed.peer("addr add 198.51.100.2/24 dev b0");
  CHECK(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved, peer_mac); }, 11000));
}

TEST_CASE("a neighbour that answers is confirmed every second by unicast and broadcast for only once") {
  Bed bed;
  bed.open();
  watch_resolved(bed, "198.51.100.2");
  bed.run(2000);
  CHECK(bed.watcher().counters().confirmations >= 2);
  CHECK(bed.watcher().counters().confirmations <= 4);
  CHECK(bed.watcher().counters().resolutions == 1);
  CHECK(bed.hops.empty());
}

TEST_CASE("a flush of the neighbour table takes no hop away and is resolved again") {
  Bed bed;
  bed.open();
  watch_resolved(bed, "198.51.100.2");
  bed.host("neigh flush dev a0");
  bed.run(500);
  CHECK(bed.hops.empty());
  CHECK(contains(bed.host_output("neigh show 198.51.100.2 dev a0"), "02:00:00:00:00:02"));
}

TEST_CASE("a stale neighbour is confirmed at once when watched") {
  Bed bed;
  bed.host("neigh add 198.51.100.2 dev a0 lladdr 02:00:00:00:00:98 nud stale");
  bed.open();
  CHECK(bed.watcher().watch(ip("198.51.100.2")).mac == 0x98'00'00'00'00'02ULL);
  CHECK(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved, peer_mac); }, 1000));
}

TEST_CASE("an entry set by hand is used as it is and stays PERMANENT") {
  Bed bed;
  bed.host("neigh add 198.51.100.2 dev a0 lladdr 02:00:00:00:00:98 nud permanent");
  bed.open();
  CHECK(bed.watcher().watch(ip("198.51.100.2")).state == HopState::resolved);
  bed.watcher().nudge(ip("198.51.100.2"), bed.watcher().link("a0")->ifindex);
  bed.run(1500);
  CHECK(contains(bed.host_output("neigh show 198.51.100.2 dev a0"), "02:00:00:00:00:98 PERMANENT"));
  CHECK(bed.watcher().counters().confirmations == 0);
}

TEST_CASE("an entry learned by a routing daemon is not asked about and keeps its mark") {
  Bed bed;
  bed.host("neigh add 198.51.100.2 dev a0 lladdr 02:00:00:00:00:02 nud reachable extern_learn");
  bed.open();
  CHECK(bed.watcher().watch(ip("198.51.100.2")).state == HopState::resolved);
  bed.run(1500);
  CHECK(contains(bed.host_output("neigh show 198.51.100.2 dev a0"), "extern_learn"));
  CHECK(bed.watcher().counters().confirmations == 0);
}

TEST_CASE("nudge() has a neighbour resolved that nobody watches") {
  Bed bed;
  bed.open();
  bed.watcher().nudge(ip("2001:db8:1::2"), bed.watcher().link("a0")->ifindex);
  bed.run(100);
  CHECK(contains(bed.host_output("neigh show 2001:db8:1::2"), "02:00:00:00:00:02"));
}

TEST_CASE("forget() deletes the entries that Weir caused - also of an earlier run - and no others") {
  Bed bed;
  bed.peer("addr add 198.51.100.3/24 dev b0");
  bed.host("neigh add 198.51.100.3 dev a0 nud failed");
  bed.host("neigh add 198.51.100.4 dev a0 lladdr 02:00:00:00:00:04 nud permanent");
  bed.open();
  REQUIRE(bed.resolve("2001:db8:1::2").state == HopState::resolved);
  bed.close();
  bed.open();
  watch_resolved(bed, "198.51.100.2");
  watch_resolved(bed, "198.51.100.3");
  bed.watcher().watch(ip("198.51.100.4"));
  REQUIRE(bed.resolve("198.51.100.77", 200).state == HopState::resolving);
  const auto forgotten = bed.watcher().forget();
  REQUIRE(forgotten);
  CHECK(*forgotten == 3);
  bed.run(1500);
  const std::string left = bed.host_output("neigh show dev a0");
  CHECK_FALSE(contains(left, "2001:db8:1::2"));
  CHECK_FALSE(contains(left, "198.51.100.2 "));
  CHECK_FALSE(contains(left, "198.51.100.77"));
  CHECK(contains(left, "198.51.100.3 "));
  CHECK(contains(left, "198.51.100.4 "));
}

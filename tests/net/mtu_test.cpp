// SPDX-License-Identifier: Apache-2.0
// How long a datagram may be on the way to an address.
#include <catch2/catch.hpp>

#include "tests/net/bed.hpp"

using namespace weir;
using namespace weir::net;

TEST_CASE("a hop's MTU is the route's where it has one, at most the link's, and a change of either is reported") {
  Bed bed;
  bed.host("link set a0 mtu 1400");
  bed.host("route add 203.0.113.0/24 via 198.51.100.2 mtu 1300");
  bed.host("route add 192.0.2.0/24 via 198.51.100.2 mtu 9000");
  bed.host("route add 2001:db8:2::/64 via 2001:db8:1::2 mtu 1310");
  Watcher& watcher = bed.open();
  const auto mtu_of = [&](const char* target) { return watcher.current(ip(target))->mtu; };
  const auto told = [&](const char* target, u32 mtu) {
    for (const auto& [address, hop] : bed.hops)
      if (address == ip(target) && hop.mtu == mtu) return true;
    return false;
  };
  for (const char* target :
       {"198.51.100.2", "203.0.113.7", "192.0.2.7", "2001:db8:1::2", "2001:db8:2::7", "10.9.9.9"}) {
    watcher.watch(ip(target));
    bed.resolve(target);
  }
  CHECK(mtu_of("198.51.100.2") == 1400);
  CHECK(mtu_of("2001:db8:1::2") == 1400);
  CHECK(mtu_of("203.0.113.7") == 1300);
  CHECK(mtu_of("2001:db8:2::7") == 1310);
  CHECK(mtu_of("192.0.2.7") == 1400);
  CHECK(mtu_of("10.9.9.9") == 0);

  bed.hops.clear();
  bed.host("link set a0 mtu 1350");
  CHECK(bed.until([&] { return told("198.51.100.2", 1350) && told("2001:db8:1::2", 1350); }));
  CHECK(mtu_of("203.0.113.7") == 1300);
  bed.host("route change 203.0.113.0/24 via 198.51.100.2 mtu 1290");
  CHECK(bed.until([&] { return told("203.0.113.7", 1290); }));
  bed.host("route change 203.0.113.0/24 via 198.51.100.2");
  CHECK(bed.until([&] { return told("203.0.113.7", 1350); }));
}

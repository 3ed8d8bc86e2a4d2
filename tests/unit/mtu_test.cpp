// SPDX-License-Identifier: Apache-2.0
// The facts of a way that change by themselves, and the settings of tunnels, in the tables.
#include <cstring>

#include "control/daemon/mtu_warnings.hpp"
#include "control/table/tunnel.hpp"
#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::backend;
using testing::Bed;
using testing::ip;
using testing::service;

const Backend& record_of(Bed& bed, const std::string& name) {
  return bed.memory().backends[bed.publisher().placed(name)->backends.begin()->second];
}
const Tunnel& present(Bed& bed) { return present_tunnel(*bed.memory().globals); }

}  // namespace

TEST_CASE("a backend's MTU is that of the way, less the outer headers of its mode and family") {
  struct Case {
    Mode mode;
    const char* backend;
    u32 mtu;
  };
  for (const Case& c : {Case{Mode::nat, "198.51.100.1:80", 1500}, Case{Mode::l2dsr, "198.51.100.1:80", 1500},
                        Case{Mode::ipip, "198.51.100.1:80", 1480}, Case{Mode::gue, "198.51.100.1:80", 1468},
                        Case{Mode::ipip, "[2001:db8::1]:80", 1460}, Case{Mode::gue, "[2001:db8::1]:80", 1448}}) {
    const Ip address = model::parse_endpoint(c.backend)->address;
    CHECK(table::backend_mtu(1500, c.mode, address) == c.mtu);
    CHECK(table::backend_mtu(0, c.mode, address) == 0);
    CHECK(table::backend_mtu(1501 - c.mtu - 1, c.mode, address) == 0);
  }
}

TEST_CASE("a new MTU reaches every backend record with that address, less what its mode adds") {
  Bed bed;
  bed.mtu = 1400;
  bed.replace({service("web", "tcp:203.0.113.10:80", {backend("198.51.100.1:8080")})});
  CHECK(record_of(bed, "web").mtu == 1400);
  const u64 word = record_of(bed, "web").hop;
  bed.publisher().set_hop(ip("198.51.100.1"), {word, 1300});
  CHECK(record_of(bed, "web").mtu == 1300);
  CHECK(record_of(bed, "web").hop == word);
  bed.publisher().set_hop(ip("198.51.100.1"), {0, 9000});
  CHECK(record_of(bed, "web").mtu == 9000);
  CHECK(record_of(bed, "web").hop == 0);
}

TEST_CASE("a service's MSS is in its table word and changes without moving its rows") {
  Bed bed;
  const model::Service web = service("web", "tcp:203.0.113.10:80", {backend("198.51.100.1:8080")});
  bed.replace({web});
  const u64 before = bed.memory().services[bed.publisher().placed("web")->id].table;
  CHECK(table_mss(before) == 0);
  model::Service clamped = web;
  clamped.mss = 65495;
  REQUIRE(bed.publisher().apply(
      {.steps = {{"web", std::make_shared<model::Service>(web), std::make_shared<model::Service>(clamped)}}}));
  const u64 after = bed.memory().services[bed.publisher().placed("web")->id].table;
  CHECK(table_mss(after) == 65495);
  CHECK((table_first_row(after) == table_first_row(before) && table_log2_rows(after) == table_log2_rows(before)));
}

TEST_CASE("a tunnel's prefixes become addresses without host bits and masks of the host bits") {
  const auto v4 = [](const char* address, u32 length) {
    return table::tunnel_record({.source4 = model::Prefix{ip(address), length}});
  };
  CHECK(v4("198.18.0.0", 16).source4 == ip("198.18.0.0").word[3]);
  CHECK(v4("198.18.7.7", 16).source4 == ip("198.18.0.0").word[3]);
  CHECK(v4("198.18.0.0", 16).spread4 == ip("0.0.255.255").word[3]);
  CHECK(v4("198.18.1.2", 32).spread4 == 0);
  CHECK(v4("10.0.0.0", 8).spread4 == ip("0.255.255.255").word[3]);
  const auto v6 = [](const char* address, u32 length) {
    return table::tunnel_record({.source6 = model::Prefix{ip(address), length}});
  };
  CHECK(v6("2001:db8:e:0:1:2:3:4", 64).source6 == ip("2001:db8:e::"));
  CHECK(v6("2001:db8:e::", 64).spread6 == 0xffff'ffff);
  CHECK(v6("2001:db8:e::", 32).spread6 == 0xffff'ffff);
  CHECK(v6("2001:db8:e::12:3456", 112).source6 == ip("2001:db8:e::12:0"));
  CHECK(v6("2001:db8:e::12:3456", 112).spread6 == ip("::ffff").word[3]);
  CHECK(v6("2001:db8:e::5", 128).spread6 == 0);
  CHECK(v6("2001:db8:e::5", 128).source6 == ip("2001:db8:e::5"));
  CHECK(to_host(table::tunnel_record({.gue_port = 6081}).gue_port) == 6081);
}

TEST_CASE("new tunnel settings go into the record that is not in use, equal ones nowhere") {
  Bed bed;
  const auto settings = [](u32 length) { return model::Tunnel{.source4 = model::Prefix{ip("198.18.0.0"), length}}; };
  table::write_tunnel(bed.memory(), settings(16));
  const Globals& globals = *bed.memory().globals;
  const u32 first = globals.tunnel;
  CHECK(present(bed).spread4 == ip("0.0.255.255").word[3]);
  table::write_tunnel(bed.memory(), settings(16));
  CHECK(globals.tunnel == first);
  const auto begin = table::Time::clock::now();
  table::write_tunnel(bed.memory(), settings(24));
  CHECK(table::Time::clock::now() - begin < table::rest_time);  // the other record was never in use
  CHECK(globals.tunnel != first);
  CHECK(present(bed).spread4 == ip("0.0.0.255").word[3]);
  CHECK(globals.tunnels[first].spread4 == ip("0.0.255.255").word[3]);
  const auto again = table::Time::clock::now();
  table::write_tunnel(bed.memory(), settings(28));
  CHECK(table::Time::clock::now() - again >= table::rest_time);
  CHECK(globals.tunnel == first);
}

TEST_CASE("a tunnel to an IPv6 VIP that 1280 bytes do not pass is a warning with the MTU that would do") {
  Bed bed;
  model::Service six = service("six", "tcp:[2001:db8:f::1]:80", {backend("[2001:db8:b::1]:80")});
  bed.replace({six});
  Service& record = bed.memory().services[bed.publisher().placed("six")->id];
  Backend& at = bed.memory().backends[bed.publisher().placed("six")->backends.begin()->second];
  at.mtu = 1279;
  CHECK(daemon::tunnel_mtu_warnings(bed.memory()).empty());  // nat has no outer headers
  at.mode = record.mode = Mode::gue;
  const auto warnings = daemon::tunnel_mtu_warnings(bed.memory());
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == "tcp:[2001:db8:f::1]:80 (" + model::to_text(Mode::gue) +
                           "): datagrams to backend 2001:db8:b::1 may be 1279 bytes long, but IPv6 clients send up to "
                           "1280 whatever they are told; raise the MTU on the way to it to 1332");
  at.mtu = 1280;
  CHECK(daemon::tunnel_mtu_warnings(bed.memory()).empty());
  at.mtu = 0;  // not known yet
  CHECK(daemon::tunnel_mtu_warnings(bed.memory()).empty());
}

TEST_CASE("an interface below 576 bytes is a warning that names it") {
  CHECK(daemon::link_mtu_warning({.name = "l0", .mtu = 576}).empty());
  CHECK(daemon::link_mtu_warning({.name = "l0", .mtu = 575}) ==
        "interface l0 has an MTU of 575, less than the 576 bytes that every host takes: ip link set dev l0 mtu 1500");
}

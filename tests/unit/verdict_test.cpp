// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/verdict.hpp"

#include <set>

#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::Bed;
using testing::Bytes;
using testing::FrameSpec;
using testing::make_frame;

struct Balanced : Bed {
  Balanced() {
    using testing::backend, testing::service;
    hops["198.51.100.4"] = 0;
    local = {"203.0.113.40", "2001:db8:f::40"};
    replace({service("nat", "tcp:203.0.113.10:80", {backend("198.51.100.1:8080")}),
             service("dns", "udp:203.0.113.10:53", {backend("198.51.100.1:5353")}),
             service("nat6", "tcp:[2001:db8:f::10]:80", {backend("[2001:db8:b::1]:8080")}),
             service("l2", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")}, Mode::l2dsr),
             service("far", "tcp:203.0.113.30:80", {backend("198.51.100.4:8080")}),
             service("own", "tcp:203.0.113.40:80", {backend("198.51.100.5:8080")}),
             service("own6", "tcp:[2001:db8:f::40]:80", {backend("[2001:db8:b::5]:8080")}),
             service("empty", "tcp:203.0.113.50:80", {})});
  }
};

FrameSpec to(const std::string& destination, u16 port = 80, u8 protocol = 6) {
  const bool v6 = destination.find(':') != std::string::npos;
  return {.source = v6 ? "2001:db8:1::7" : "198.18.0.7",
          .destination = destination,
          .destination_port = port,
          .protocol = protocol,
          .payload = 0};
}
const FrameSpec reply{.source = "198.51.100.1", .destination = "198.18.0.7", .source_port = 8080, .payload = 0};

Bytes changed(Bytes frame, std::size_t at, u8 value) {
  frame.at(at) = value;
  return frame;
}
Bytes cut(Bytes frame, std::size_t size) {
  frame.resize(size);
  return frame;
}
/// `count` destination options headers of 8 bytes before TCP.
FrameSpec with_extensions(FrameSpec spec, u32 count) {
  spec.first_extension = 60;
  for (u32 i = 0; i < count; ++i) {
    const u8 next = i + 1 < count ? 60 : spec.protocol;
    for (const u8 byte : {next, u8{0}, u8{1}, u8{4}, u8{0}, u8{0}, u8{0}, u8{0}}) spec.extensions.push_back(byte);
  }
  return spec;
}

struct Case {
  Verdict verdict;
  Bytes frame;
};

/// A frame for every verdict that needs no odd table and no odd host. Offsets: Ethernet 14, IPv4 20, IPv6 40.
std::vector<Case> frames() {
  const Bytes tcp = make_frame(to("203.0.113.10"));
  const Bytes udp = make_frame(to("203.0.113.10", 53, 17));
  const Bytes tcp6 = make_frame(to("2001:db8:f::10"));
  FrameSpec expired = to("203.0.113.10");
  expired.ttl = 1;
  FrameSpec expired_reply = reply;
  expired_reply.ttl = 1;
  return {
      {Verdict::forwarded_nat, tcp},
      {Verdict::forwarded_nat, udp},
      {Verdict::forwarded_nat, tcp6},
      {Verdict::forwarded_nat, make_frame(with_extensions(to("2001:db8:f::10"), 8))},
      {Verdict::forwarded_l2dsr, make_frame(to("203.0.113.20"))},
      {Verdict::returned_nat, make_frame(reply)},
      {Verdict::not_ours, make_frame(to("192.0.2.77"))},
      {Verdict::not_ip, changed(tcp, 13, 0x06)},
      {Verdict::not_ip, changed(make_frame({.destination = "203.0.113.10", .vlans = {1, 2}}), 21, 0x07)},
      {Verdict::not_unicast, changed(tcp, 0, 0x03)},
      {Verdict::not_unicast, changed(tcp, 0, 0xff)},
      {Verdict::other_host, changed(tcp, 5, 0xab)},
      {Verdict::short_header, cut(tcp, 13)},
      {Verdict::short_header, cut(tcp, 33)},
      {Verdict::short_header, cut(tcp6, 53)},
      {Verdict::vip_local, make_frame(to("203.0.113.40", 22))},
      {Verdict::vip_local, make_frame(to("2001:db8:f::40", 22))},
      {Verdict::no_service, make_frame(to("203.0.113.10", 81))},
      {Verdict::no_service, make_frame(to("203.0.113.10", 80, 17))},
      {Verdict::protocol_not_balanced, make_frame(to("203.0.113.10", 80, 1))},
      {Verdict::bad_ip_header, changed(tcp, 14, 0x55)},
      {Verdict::bad_ip_header, changed(tcp, 14, 0x44)},
      {Verdict::bad_ip_header, changed(tcp, 17, 19)},
      {Verdict::bad_ip_header, changed(tcp6, 14, 0x50)},
      {Verdict::truncated, cut(tcp, 53)},
      {Verdict::truncated, cut(tcp6, 73)},
      {Verdict::bad_tcp_header, changed(tcp, 46, 0x40)},
      {Verdict::bad_tcp_header, changed(tcp, 46, 0x60)},
      {Verdict::bad_tcp_header, changed(tcp, 17, 39)},
      {Verdict::bad_udp_header, changed(udp, 39, 7)},
      {Verdict::bad_udp_header, changed(udp, 39, 9)},
      {Verdict::bad_udp_header, changed(udp, 17, 27)},
      {Verdict::fragment, changed(tcp, 20, 0x20)},
      {Verdict::fragment, changed(tcp, 21, 1)},
      {Verdict::extension_headers, make_frame(with_extensions(to("2001:db8:f::10"), 9))},
      {Verdict::ttl_expired, make_frame(expired)},
      {Verdict::ttl_expired, make_frame(expired_reply)},
      {Verdict::no_backend, make_frame(to("203.0.113.50"))},
      {Verdict::backend_no_neighbor, make_frame(to("203.0.113.30"))},
  };
}

}  // namespace

TEST_CASE("each verdict has a smallest frame, and gets it") {
  Balanced bed;
  std::set<Verdict> seen;
  for (const Case& c : frames()) {
    INFO(verdict_table[static_cast<u32>(c.verdict)].name << ", frame of " << c.frame.size() << " bytes");
    Bytes frame = c.frame;
    const Verdict verdict = bed.send(frame);
    CHECK(verdict_table[static_cast<u32>(verdict)].name ==
          std::string(verdict_table[static_cast<u32>(c.verdict)].name));
    if (action_of(verdict) != Action::transmit) CHECK(frame == c.frame);
    seen.insert(verdict);
  }
  for (const Verdict why : {Verdict::answer_not_forwarded, Verdict::client_no_route, Verdict::client_no_neighbor,
                            Verdict::client_forwarding_off, Verdict::client_egress_unattached}) {
    bed.route = {why, 0};
    CHECK(bed.verdict_of(make_frame(reply)) == why);
    seen.insert(why);
  }
  seen.insert(Verdict::internal_table);  // the next test case
  CHECK(seen.size() == verdict_count);
}

TEST_CASE("tables that name records which do not exist give internal_table and no wild read") {
  const Bytes frame = make_frame(to("203.0.113.10"));
  Balanced bed;
  const u32 service = bed.service_at("203.0.113.10", 80);
  const u32 backend = bed.answer_at("198.51.100.1", 8080);
  REQUIRE(service != 0);
  REQUIRE(backend != 0);

  SECTION("a row names a backend out of range") {
    for (Row& row : bed.memory().rows) row = settled_row(backend_id_mask);
    CHECK(bed.verdict_of(frame) == Verdict::internal_table);
  }
  SECTION("the index names a service out of range") {
    for (IndexSlot& slot : bed.memory().slots)
      if (slot.word != 0) slot.word |= u64{0xffffffff} << 32;
    CHECK(bed.verdict_of(frame) == Verdict::internal_table);
  }
  SECTION("the index names an answering backend out of range") {
    for (IndexSlot& slot : bed.memory().slots)
      if (slot.word != 0) slot.word |= u64{0xffffffff} << 32;
    CHECK(bed.verdict_of(make_frame(reply)) == Verdict::internal_table);
  }
  SECTION("an answering backend names a service out of range") {
    bed.memory().backends[backend].service = 0xffff'ffff;
    CHECK(bed.verdict_of(make_frame(reply)) == Verdict::internal_table);
  }
  SECTION("a service's rows lie out of range") {
    bed.memory().services[service].table = table_word(0xffff'0000, 8, HashOn::five_tuple);
    CHECK(bed.verdict_of(frame) == Verdict::no_backend);
  }
  SECTION("a bucket's displacement points nowhere") {
    for (u64& displacement : bed.memory().buckets) displacement = 0x1234'5678'9abc'def1;
    CHECK(action_of(bed.verdict_of(frame)) != Action::transmit);
  }
  SECTION("the interface that a frame came in on is not in the tables") {
    bed.memory().ports[port_index(Bed::ingress)] = {};
    CHECK(bed.verdict_of(frame) == Verdict::other_host);
  }
}

TEST_CASE("malformed frames that are not for a VIP pass") {
  Balanced bed;
  for (const Case& c : frames()) {
    if (action_of(c.verdict) != Action::drop || c.verdict == Verdict::ttl_expired) continue;
    Bytes frame = c.frame;
    // The same frame to an address outside: last byte of the destination.
    const std::size_t last = frame[12] == 0x86 ? 53 : 33;
    frame[last] = 0xfd;
    INFO(verdict_table[static_cast<u32>(c.verdict)].name);
    CHECK(bed.verdict_of(frame) == Verdict::not_ours);
  }
}

TEST_CASE("frames to a VIP of the host's own that no service takes reach the kernel, whatever is wrong with them") {
  Balanced bed;
  const Bytes tcp = make_frame(to("203.0.113.40"));
  CHECK(bed.verdict_of(tcp) == Verdict::forwarded_nat);
  for (const Bytes& frame : {make_frame(to("203.0.113.40", 80, 1)), changed(tcp, 20, 0x20), cut(tcp, 53),
                             changed(tcp, 14, 0x44), changed(tcp, 46, 0x40), make_frame(to("2001:db8:f::40", 9, 17))})
    CHECK(bed.verdict_of(frame) == Verdict::vip_local);
}

TEST_CASE("verdict names are unique and usable in metrics") {
  std::set<std::string> names;
  for (const VerdictInfo& row : verdict_table) {
    CHECK(names.insert(row.name).second);
    CHECK(std::string(row.name).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos);
    CHECK(std::string(row.meaning).size() > 10);
  }
  CHECK(names.size() == verdict_count);
}

TEST_CASE("action_of agrees with the table of verdicts") {
  for (u32 v = 0; v < verdict_count; ++v) CHECK(action_of(static_cast<Verdict>(v)) == verdict_table[v].action);
  CHECK(action_of(static_cast<Verdict>(verdict_count)) == Action::drop);
}

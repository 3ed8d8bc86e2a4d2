// SPDX-License-Identifier: Apache-2.0
// Long because it holds a frame for every verdict.
#include "dataplane/core/verdict.hpp"

#include <set>

#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::Bed;
using testing::Bytes;
using testing::FrameSpec;
using testing::make_frame;

model::Service hashing_on_source(model::Service service) {
  service.hash = HashOn::source;
  return service;
}

struct Balanced : Bed {
  Balanced() {
    using testing::backend, testing::service;
    hops["198.51.100.4"] = 0;
    local = {"203.0.113.40", "2001:db8:f::40"};
    // Past the pool: it has its own tests, and would ask for settings of the host.
    model::Plan plan;
    for (const model::Service& s :
         {service("nat", "tcp:203.0.113.10:80", {backend("198.51.100.1:8080")}),
          service("dns", "udp:203.0.113.10:53", {backend("198.51.100.1:5353")}),
          service("nat6", "tcp:[2001:db8:f::10]:80", {backend("[2001:db8:b::1]:8080")}),
          service("l2", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")}, Mode::l2dsr),
          service("far", "tcp:203.0.113.30:80", {backend("198.51.100.4:8080")}),
          service("own", "tcp:203.0.113.40:80", {backend("198.51.100.5:8080")}),
          service("own6", "tcp:[2001:db8:f::40]:80", {backend("[2001:db8:b::5]:8080")}),
          service("empty", "tcp:203.0.113.50:80", {}),
          service("ipip", "tcp:203.0.113.60:80", {backend("[2001:db8:b::6]:80")}, Mode::ipip),
          service("gue6", "tcp:[2001:db8:f::70]:80", {backend("198.51.100.7:80")}, Mode::gue),
          hashing_on_source(service("pieces", "udp:203.0.113.80:53", {backend("198.51.100.8:5353")}))})
      plan.steps.push_back({s.name, nullptr, std::make_shared<model::Service>(s)});
    REQUIRE(publisher().apply(plan));
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
/// The Ethernet header of `make_frame` and a datagram in hexadecimal digits; blanks divide them.
Bytes from_hex(u16 ether_type, const std::string& digits) {
  std::string packed;
  for (const char c : digits)
    if (c != ' ') packed += c;
  Bytes frame = {2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 1, static_cast<u8>(ether_type >> 8), static_cast<u8>(ether_type)};
  for (std::size_t i = 0; i < packed.size(); i += 2)
    frame.push_back(static_cast<u8>(std::stoul(packed.substr(i, 2), nullptr, 16)));
  return frame;
}
Bytes ip4(const std::string& digits) { return from_hex(0x0800, digits); }
Bytes ip6(const std::string& digits) { return from_hex(0x86dd, digits); }

// RFC 791, 792, 4443. 198.18.0.7 is c6120007, the VIP 203.0.113.10 cb00710a, its backend c6336401, a router c0000201.
const Bytes echo4 = ip4("4500001c 00010000 4001 0000 c6120007 cb00710a  0800 f7fd 00000002");
const Bytes echo6 =
    ip6("60000000 0008 3a40 20010db8000100000000000000000007 20010db8000f00000000000000000010"
        "  8000 0000 00000002");
const Bytes echo_local = ip4("4500001c 00010000 4001 0000 c6120007 cb007128  0800 f7fd 00000002");
const Bytes timestamp4 = ip4("4500001c 00010000 4001 0000 c6120007 cb00710a  0d00 0000 00000002");
const Bytes solicitation =
    ip6("60000000 0018 3aff 20010db8000100000000000000000007 20010db8000f00000000000000000010"
        "  8700 0000 00000000 20010db8000f00000000000000000010");
// Frag-needed about a segment that the VIP has sent to the client: its IP header and eight bytes of TCP.
const Bytes error4 =
    ip4("45000038 00010000 4001 0000 c0000201 cb00710a  0304 0000 00000514"
        "  450005dc 00010000 4006 0000 cb00710a c6120007  00509c40 00000001");
const Bytes error_without_port =
    ip4("45000034 00010000 4001 0000 c0000201 cb00710a  0304 0000 00000514"
        "  450005dc 00010000 4006 0000 cb00710a c6120007  00509c40");
const Bytes error_no_service =
    ip4("45000038 00010000 4001 0000 c0000201 cb00710a  0304 0000 00000514"
        "  450005dc 00010000 4006 0000 cb00710a c6120007  00519c40 00000001");
const Bytes error_about_icmp =
    ip4("45000038 00010000 4001 0000 c0000201 cb00710a  0301 0000 00000000"
        "  4500001c 00010000 4001 0000 cb00710a c6120007  0000f7fd 00000001");
const Bytes error_cut = ip4("4500001b 00010000 4001 0000 c0000201 cb00710a  0304 0000 000000");
// Port unreachable from the backend about a datagram that the client has sent: it is the client's.
const Bytes error_back =
    ip4("45000038 00010000 4001 0000 c6336401 c6120007  0303 0000 00000000"
        "  4500001c 00010000 3f11 0000 c6120007 c6336401  9c4014e9 00080000");
const Bytes later_piece = ip4("4500001c 000100b9 4011 0000 c6120007 cb007150  0102030405060708");
const Bytes martian6 =
    ip6("60000000 0014 0640 00000000000000000000000000000001 20010db8000f00000000000000000010"
        "  9c400050 00000001 00000002 50100000 00000000");

/// `count` destination options headers of 8 bytes before TCP.
FrameSpec with_extensions(FrameSpec spec, u32 count) {
  spec.first_extension = 60;
  for (u32 i = 0; i < count; ++i) {
    const u8 next = i + 1 < count ? 60 : spec.protocol;
    for (const u8 byte : {next, u8{0}, u8{1}, u8{4}, u8{0}, u8{0}, u8{0}, u8{0}}) spec.extensions.push_back(byte);
  }
  return spec;
}

/// TCP or UDP in a datagram of that many bytes.
FrameSpec of_length(FrameSpec spec, u32 bytes) {
  spec.payload = bytes - (spec.destination.find(':') == std::string::npos ? 20 : 40) - (spec.protocol == 6 ? 20 : 8);
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
      {Verdict::protocol_not_balanced, make_frame(to("203.0.113.10", 80, 132))},
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
      {Verdict::forwarded_ipip, make_frame(to("203.0.113.60"))},
      {Verdict::forwarded_gue, make_frame(to("2001:db8:f::70"))},
      {Verdict::forwarded_nat, later_piece},
      {Verdict::forwarded_icmp, error4},
      {Verdict::returned_icmp, error_back},
      {Verdict::answered_echo, echo4},
      {Verdict::answered_echo, echo6},
      {Verdict::answered_too_big, make_frame(of_length(to("203.0.113.10"), 1501))},
      {Verdict::answered_too_big, make_frame(of_length(to("203.0.113.60"), 1461))},
      {Verdict::answered_too_big, make_frame(of_length(to("2001:db8:f::70"), 1469))},
      {Verdict::too_big, changed(changed(make_frame(of_length(to("203.0.113.80", 9, 17), 1501)), 20, 0), 21, 1)},
      {Verdict::neighbor_discovery, solicitation},
      {Verdict::bad_icmp, error_cut},
      {Verdict::bad_icmp, error_without_port},
      {Verdict::icmp_no_flow, error_no_service},
      {Verdict::icmp_no_flow, error_about_icmp},
      {Verdict::icmp_not_balanced, timestamp4},
      {Verdict::vip_local, echo_local},
      {Verdict::martian_source, changed(tcp, 26, 127)},
      {Verdict::martian_source, changed(tcp, 26, 0)},
      {Verdict::martian_source, changed(tcp, 26, 224)},
      {Verdict::martian_source, martian6},
  };
}
/// The longest datagrams that still reach their backends over ways of 1500 bytes.
std::vector<Case> longest() {
  return {{Verdict::forwarded_nat, make_frame(of_length(to("203.0.113.10"), 1500))},
          {Verdict::forwarded_l2dsr, make_frame(of_length(to("203.0.113.20"), 1500))},
          {Verdict::forwarded_ipip, make_frame(of_length(to("203.0.113.60"), 1460))},
          {Verdict::forwarded_gue, make_frame(of_length(to("2001:db8:f::70"), 1468))}};
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
  const auto lasting = [&](u32 headroom, bool answers, const Bytes& frame) {
    const HostEngine engine(
        bed.memory(), [](const Ip&, const Ip&, u32) { return Route{}; }, [answers] { return answers; });
    const Verdict verdict = engine.run(frame, Bed::ingress, headroom).verdict;
    seen.insert(verdict);
    return verdict;
  };
  CHECK(lasting(39, true, make_frame(to("203.0.113.60"))) == Verdict::no_headroom);
  CHECK(lasting(40, true, make_frame(to("203.0.113.60"))) == Verdict::forwarded_ipip);
  CHECK(lasting(31, true, make_frame(to("2001:db8:f::70"))) == Verdict::no_headroom);
  CHECK(lasting(32, true, make_frame(to("2001:db8:f::70"))) == Verdict::forwarded_gue);
  CHECK(lasting(256, false, echo4) == Verdict::answer_rate_limited);
  CHECK(lasting(256, false, make_frame(of_length(to("203.0.113.10"), 1501))) == Verdict::answer_rate_limited);
  bed.route = {Verdict::too_big, 0, 1000};
  CHECK(bed.verdict_of(make_frame(of_length(reply, 1001))) == Verdict::answered_too_big);
  CHECK(bed.verdict_of(make_frame(of_length(reply, 547))) == Verdict::too_big);
  // Flows of rows that move away from backends whose flows are reset.
  for (Backend& b : bed.memory().backends) b.state = static_cast<u32>(BackendState::resetting);
  for (Row& row : bed.memory().rows) row = make_row(RowState::moving, row_owner(row), row_owner(row));
  for (const Case& c : {Case{Verdict::answered_reset, make_frame(to("203.0.113.10"))},
                        Case{Verdict::answered_reset, make_frame(to("2001:db8:f::70"))},
                        Case{Verdict::flow_ended, make_frame(to("203.0.113.10", 53, 17))}}) {
    CHECK(bed.verdict_of(c.frame) == c.verdict);
    seen.insert(c.verdict);
  }
  seen.insert(Verdict::internal_table);  // the next test case
  CHECK(seen.size() == verdict_count);
}

TEST_CASE("a datagram as long as the way allows is sent in every mode") {
  Balanced bed;
  for (const Case& c : longest()) {
    INFO(verdict_table[static_cast<u32>(c.verdict)].name);
    CHECK(bed.verdict_of(c.frame) == c.verdict);
  }
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
    CHECK(bed.verdict_of(frame) == Verdict::internal_table);
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
  for (const Bytes& frame : {make_frame(to("203.0.113.40", 80, 132)), changed(tcp, 20, 0x20), cut(tcp, 53),
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

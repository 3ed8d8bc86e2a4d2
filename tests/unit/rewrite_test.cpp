// SPDX-License-Identifier: Apache-2.0
// What leaves is, byte for byte, the frame that a builder with full checksums makes for the translated tuple.
#include "dataplane/core/rewrite.hpp"

#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::Bed;
using testing::Bytes;
using testing::FrameSpec;

const Bytes backend_mac = {0x02, 0, 0, 0, 0, 0xb0};
const Bytes gateway_mac = {0x02, 0, 0, 0, 0, 0x77};
const Bytes egress_mac = {0x02, 0, 0, 0, 0, 0xee};

/// One backend per service, so that the pick is known; IPv4 and IPv6, TCP and UDP; .20 is l2dsr.
struct Balanced : Bed {
  Balanced() {
    using testing::backend, testing::service;
    replace({service("tcp4", "tcp:203.0.113.10:80", {backend("198.51.100.1:8080")}),
             service("udp4", "udp:203.0.113.10:53", {backend("198.51.100.1:5353")}),
             service("tcp6", "tcp:[2001:db8:f::10]:80", {backend("[2001:db8:b::1]:8080")}),
             service("udp6", "udp:[2001:db8:f::10]:53", {backend("[2001:db8:b::1]:5353")}),
             service("l2t4", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")}, Mode::l2dsr),
             service("l2u6", "udp:[2001:db8:f::20]:53", {backend("[2001:db8:b::2]:53")}, Mode::l2dsr)});
  }
};

/// A client's frame to the VIP that ends in `host`.
FrameSpec to_vip(bool v6, u8 protocol, const char* host = "10") {
  return {.source = v6 ? "2001:db8:1::7" : "198.18.0.7",
          .destination = (v6 ? "2001:db8:f::" : "203.0.113.") + std::string(host),
          .destination_port = static_cast<u16>(protocol == 6 ? 80 : 53),
          .protocol = protocol};
}
/// The same on its way to the backend.
FrameSpec to_backend(FrameSpec spec) {
  spec.destination = spec.destination.find(':') == std::string::npos ? "198.51.100.1" : "2001:db8:b::1";
  spec.destination_port = spec.protocol == 6 ? 8080 : 5353;
  --spec.ttl;
  spec.destination_mac = backend_mac;
  spec.source_mac = egress_mac;
  return spec;
}
/// A backend's answer, and the same on its way to the client.
FrameSpec from_backend(bool v6, u8 protocol) {
  return {.source = v6 ? "2001:db8:b::1" : "198.51.100.1",
          .destination = v6 ? "2001:db8:1::7" : "198.18.0.7",
          .source_port = static_cast<u16>(protocol == 6 ? 8080 : 5353),
          .destination_port = 40001,
          .protocol = protocol};
}
FrameSpec from_vip(FrameSpec spec) {
  spec.source = spec.source.find(':') == std::string::npos ? "203.0.113.10" : "2001:db8:f::10";
  spec.source_port = spec.protocol == 6 ? 80 : 53;
  --spec.ttl;
  spec.destination_mac = gateway_mac;
  spec.source_mac = egress_mac;
  return spec;
}

void expect(Bed& bed, const FrameSpec& in, const FrameSpec& out, Verdict verdict) {
  Bytes frame = make_frame(in);
  REQUIRE(bed.send(frame) == verdict);
  CHECK(bed.left_by == Bed::egress);
  CHECK(frame == make_frame(out));
}

/// Runs `check(v6, protocol)` for both families and protocols.
template <class Check>
void each_family_and_protocol(const Check& check) {
  for (const bool v6 : {false, true})
    for (const u8 protocol : {u8{6}, u8{17}}) {
      CAPTURE(v6, protocol);
      check(v6, protocol);
    }
}

std::size_t udp_checksum_at(bool v6) { return 14U + (v6 ? 40U : 20U) + 6U; }

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<u8>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

}  // namespace

TEST_CASE("nat sends the frame of the backend's tuple, and the answer that of the VIP's") {
  Balanced bed;
  each_family_and_protocol([&](bool v6, u8 protocol) {
    for (u32 vlans = 0; vlans <= 2; ++vlans)
      for (const u32 payload : {0U, 1U, 26U, 1001U}) {
        FrameSpec in = to_vip(v6, protocol);
        in.vlans.assign(vlans, 0x2064);
        in.payload = payload;
        expect(bed, in, to_backend(in), Verdict::forwarded_nat);
        FrameSpec answer = from_backend(v6, protocol);
        answer.vlans = in.vlans;
        answer.payload = payload;
        expect(bed, answer, from_vip(answer), Verdict::returned_nat);
      }
  });
}

TEST_CASE("every TTL that is routed falls by one with a right header checksum") {
  Balanced bed;
  for (const bool v6 : {false, true})
    for (u32 ttl = 2; ttl < 256; ++ttl) {
      FrameSpec in = to_vip(v6, 6);
      in.ttl = static_cast<u8>(ttl);
      expect(bed, in, to_backend(in), Verdict::forwarded_nat);
    }
}

TEST_CASE("the transport checksum is right for every source port, so for every value it takes") {
  Balanced bed;
  each_family_and_protocol([&](bool v6, u8 protocol) {
    u32 wrong = 0;
    for (u32 port = 1; port <= 0xffff; ++port) {
      FrameSpec in = to_vip(v6, protocol);
      in.source_port = static_cast<u16>(port);
      Bytes frame = make_frame(in);
      wrong += bed.send(frame) != Verdict::forwarded_nat || frame != make_frame(to_backend(in));
    }
    CHECK(wrong == 0);
  });
}

TEST_CASE("a UDP checksum that comes out as zero is sent as 0xffff") {
  Balanced bed;
  for (const bool v6 : {false, true}) {
    u32 seen = 0;
    for (u32 port = 1; port <= 0xffff; ++port) {
      FrameSpec in = to_vip(v6, 17);
      in.source_port = static_cast<u16>(port);
      const Bytes out = make_frame(to_backend(in));
      if (out[udp_checksum_at(v6)] != 0xff || out[udp_checksum_at(v6) + 1] != 0xff) continue;
      ++seen;
      expect(bed, in, to_backend(in), Verdict::forwarded_nat);
    }
    CHECK(seen > 0);
  }
}

TEST_CASE("a UDP checksum of zero means none and stays so, in both directions") {
  Balanced bed;
  for (const bool v6 : {false, true})
    for (const bool answer : {false, true}) {
      const FrameSpec in = answer ? from_backend(v6, 17) : to_vip(v6, 17);
      Bytes frame = make_frame(in);
      Bytes expected = make_frame(answer ? from_vip(in) : to_backend(in));
      for (Bytes* bytes : {&frame, &expected}) (*bytes)[udp_checksum_at(v6)] = (*bytes)[udp_checksum_at(v6) + 1] = 0;
      REQUIRE(bed.send(frame) == (answer ? Verdict::returned_nat : Verdict::forwarded_nat));
      CHECK(frame == expected);
    }
}

TEST_CASE("IPv4 options and IPv6 extension headers pass through nat untouched") {
  Balanced bed;
  for (const u8 protocol : {u8{6}, u8{17}}) {
    for (const std::size_t words : {1U, 3U, 10U}) {
      FrameSpec in = to_vip(false, protocol);
      in.ipv4_options.assign(4 * words, 1);
      expect(bed, in, to_backend(in), Verdict::forwarded_nat);
      FrameSpec answer = from_backend(false, protocol);
      answer.ipv4_options = in.ipv4_options;
      expect(bed, answer, from_vip(answer), Verdict::returned_nat);
    }
    // Hop-by-hop, authentication (12 bytes), atomic fragment, destination options of 16 bytes.
    const Bytes chain = {51, 0, 1, 4, 0, 0, 0,        0, 44, 1,  0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 60, 0,
                         0,  0, 0, 0, 0, 5, protocol, 1, 1,  12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0};
    FrameSpec in = to_vip(true, protocol);
    in.extensions = chain;
    in.first_extension = 0;
    in.vlans = {7, 8};
    expect(bed, in, to_backend(in), Verdict::forwarded_nat);
    FrameSpec answer = from_backend(true, protocol);
    answer.extensions = chain;
    expect(bed, answer, from_vip(answer), Verdict::returned_nat);
  }
}

TEST_CASE("l2dsr changes the twelve bytes of the MAC addresses and nothing else, TTL 1 included") {
  Balanced bed;
  for (const bool v6 : {false, true})
    for (const u8 ttl : {u8{1}, u8{64}})
      for (u32 vlans = 0; vlans <= 2; ++vlans) {
        FrameSpec in = to_vip(v6, v6 ? 17 : 6, "20");
        in.ttl = ttl;
        in.vlans.assign(vlans, 100);
        FrameSpec out = in;
        out.destination_mac = backend_mac;
        out.source_mac = egress_mac;
        expect(bed, in, out, Verdict::forwarded_l2dsr);
      }
}

TEST_CASE("bytes behind the datagram stay as they are") {
  Balanced bed;
  each_family_and_protocol([&](bool v6, u8 protocol) {
    for (const std::size_t padding : {1U, 6U, 40U}) {
      FrameSpec in = to_vip(v6, protocol);
      in.payload = 0;
      Bytes frame = make_frame(in);
      Bytes expected = make_frame(to_backend(in));
      frame.resize(frame.size() + padding, 0xee);
      expected.resize(expected.size() + padding, 0xee);
      REQUIRE(bed.send(frame) == Verdict::forwarded_nat);
      CHECK(frame == expected);
    }
  });
}

TEST_CASE("a wrong checksum stays wrong by the same amount") {
  Balanced bed;
  const FrameSpec in = to_vip(false, 6);
  Bytes frame = make_frame(in);
  frame[24] ^= 0x5a;  // IPv4 header checksum
  frame[50] ^= 0x5a;  // TCP checksum
  REQUIRE(bed.send(frame) == Verdict::forwarded_nat);
  const Bytes header(frame.begin() + 14, frame.begin() + 34);
  CHECK(testing::internet_checksum(header) != 0);
  const Bytes right = make_frame(to_backend(in));
  CHECK((frame[50] != right[50] || frame[51] != right[51]));
}

TEST_CASE("frames that scapy built leave as scapy builds their translation") {
  struct Pair {
    const char* in;
    const char* out;
  };
  // IP(id=77)/TCP(flags="PA", MSS, window scale) or UDP; 40001 <-> 80/8080 or 53/5353; one or two Dot1Q on some.
  const Pair pairs[] = {
      {"0200000000aa020000000001080045000034004d000040067853c6120007cb00710a9c410050000000630000000770182000"
       "e4060000020405b40103030777656972",
       "0200000000b00200000000ee080045000034004d00003f068b29c6120007c63364019c411f90000000630000000770182000"
       "d69c0000020405b40103030777656972"},
      {"0200000000aa0200000000018100000a08004500001f004d00004011785dc6120007cb00710a9c410035000b8dd86f6464",
       "0200000000b00200000000ee8100000a08004500001f004d00003f118b33c6120007c63364019c4114e9000b8afa6f6464"},
      {"0200000000aa02000000000186dd600000000020064020010db800010000000000000000000720010db8000f000000000000"
       "000000109c4100500000006300000007701820008a920000020405b40103030777656972",
       "0200000000b00200000000ee86dd600000000020063f20010db800010000000000000000000720010db8000b000000000000"
       "000000019c411f900000006300000007701820006b650000020405b40103030777656972"},
      {"0200000000aa02000000000186dd60000000000c114020010db800010000000000000000000720010db8000f000000000000"
       "000000109c410035000c26ef77656972",
       "0200000000b00200000000ee86dd60000000000c113f20010db800010000000000000000000720010db8000b000000000000"
       "000000019c4114e9000c124e77656972"},
      {"0200000000aa0200000000b0080045000034004d000040068a29c6336401c61200071f909c41000000630000000770182000"
       "d69c0000020405b40103030777656972",
       "0200000000770200000000ee080045000034004d00003f067953cb00710ac612000700509c41000000630000000770182000"
       "e4060000020405b40103030777656972"},
      {"0200000000aa0200000000b08100000a8100000b86dd60000000000c114020010db8000b0000000000000000000120010db8"
       "00010000000000000000000714e99c41000c124e77656972",
       "0200000000770200000000ee8100000a8100000b86dd60000000000c113f20010db8000f0000000000000000001020010db8"
       "00010000000000000000000700359c41000c26ef77656972"},
  };
  Balanced bed;
  for (const Pair& pair : pairs) {
    Bytes frame = from_hex(pair.in);
    CHECK(action_of(bed.send(frame)) == Action::transmit);
    CHECK(frame == from_hex(pair.out));
  }
}

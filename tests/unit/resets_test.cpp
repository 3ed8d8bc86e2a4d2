// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/resets.hpp"

#include <catch2/catch.hpp>

#include "control/model/text.hpp"
#include "tests/support/frames.hpp"

namespace {

using namespace weir;
using testing::Bytes;
using testing::internet_checksum;

constexpr MacBits own_mac = 0xaa00'0000'0002;  // 02:00:00:00:00:aa, first byte lowest
const Bytes sequence{0xde, 0xad, 0xbe, 0xef};

EndedFlow flow_from(const std::string& client) {
  EndedFlow flow{};
  flow.source = model::parse_endpoint(client).value().address;
  flow.ports = u32{to_be(u16{40000}).raw} | u32{to_be(u16{80}).raw} << 16;
  flow.sequence = __builtin_bswap32(0xdeadbeef);
  return flow;
}

Bytes slice(const Bytes& bytes, std::size_t from, std::size_t length) {
  return {bytes.begin() + static_cast<long>(from), bytes.begin() + static_cast<long>(from + length)};
}

/// Pseudo-header (RFC 9293, 3.1) and segment.
Bytes summed(const Bytes& addresses, const Bytes& segment) {
  Bytes all = addresses;
  all.insert(all.end(), {0, 6, 0, static_cast<u8>(segment.size())});
  all.insert(all.end(), segment.begin(), segment.end());
  return all;
}

void check_segment(const Bytes& segment) {
  REQUIRE(segment.size() == 20);
  CHECK(slice(segment, 0, 4) == Bytes{40000 >> 8, 40000 & 0xff, 0, 80});
  CHECK(slice(segment, 4, 4) == sequence);
  CHECK(segment[12] == 5 << 4);
  CHECK(segment[13] == 0x04);  // RST alone: an ACK number is not known
}

}  // namespace

TEST_CASE("the RST for a backend is the IPv4 client's own, with right checksums") {
  const Ip vip = model::parse_endpoint("203.0.113.10:80").value().address;
  const Bytes frame = daemon::reset_frame(flow_from("192.0.2.1:40000"), vip, own_mac);
  REQUIRE(frame.size() == 14 + 20 + 20);
  CHECK(slice(frame, 0, 6) == Bytes{2, 0, 0, 0, 0, 0xaa});
  CHECK(slice(frame, 12, 2) == Bytes{8, 0});
  CHECK(slice(frame, 26, 4) == Bytes{192, 0, 2, 1});
  CHECK(slice(frame, 30, 4) == Bytes{203, 0, 113, 10});
  CHECK(internet_checksum(slice(frame, 14, 20)) == 0);
  const Bytes segment = slice(frame, 34, 20);
  check_segment(segment);
  CHECK(internet_checksum(summed(slice(frame, 26, 8), segment)) == 0);
}

TEST_CASE("the RST for a backend is the IPv6 client's own, with a right checksum") {
  const Ip vip = model::parse_endpoint("[2001:db8:f::20]:80").value().address;
  const Bytes frame = daemon::reset_frame(flow_from("[2001:db8::7]:40000"), vip, own_mac);
  REQUIRE(frame.size() == 14 + 40 + 20);
  CHECK(slice(frame, 12, 2) == Bytes{0x86, 0xdd});
  CHECK(slice(frame, 18, 3) == Bytes{0, 20, 6});
  CHECK(frame[14 + 8 + 15] == 7);
  CHECK(frame[14 + 24 + 15] == 0x20);
  const Bytes segment = slice(frame, 54, 20);
  check_segment(segment);
  CHECK(internet_checksum(summed(slice(frame, 22, 32), segment)) == 0);
}

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/checksum.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "dataplane/core/wire.hpp"
#include "tests/support/frames.hpp"

namespace {

using namespace weir;

/// The checksum of words that sum to `sum`, from scratch and in host order.
u16 full(u32 sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(~sum);
}

u16 updated(u16 checksum, u16 from, u16 to) {
  return to_host(update_checksum(to_be(checksum), replace_delta(to_be(from).raw, to_be(to).raw)));
}

}  // namespace

TEST_CASE("the checksum update gives the figure of RFC 1624, section 4") {
  // The example on which RFC 1141's formula yields 0xffff.
  CHECK(updated(0xdd2f, 0x5555, 0x3285) == 0x0000);
}

TEST_CASE("the checksum update gives the figure of RFC 1141's successor in the other direction") {
  CHECK(updated(0x0000, 0x3285, 0x5555) == 0xdd2f);
}

TEST_CASE("every single-word replacement equals a full computation") {
  u32 wrong = 0;
  for (const u32 rest : {1U, 0x1234U, 0x7fffU, 0x8000U, 0xfffeU, 0xffffU, 0x2'abcdU})
    for (const u32 edge : {0U, 1U, 2U, 0x00ffU, 0xff00U, 0x7fffU, 0x8000U, 0xfffeU, 0xffffU})
      for (u32 word = 0; word <= 0xffff; ++word) {
        const auto a = static_cast<u16>(edge);
        const auto b = static_cast<u16>(word);
        wrong += updated(full(rest + a), a, b) != full(rest + b);
        wrong += updated(full(rest + b), b, a) != full(rest + a);
      }
  CHECK(wrong == 0);
}

TEST_CASE("a replacement and its reverse cancel out") {
  u32 wrong = 0;
  for (u32 word = 0; word <= 0xffff; ++word) {
    const u16 delta = replace_delta(word, 0x1f90'0a01 ^ word);
    const Be16 before = to_be(full(word + 0x4501));
    wrong += !(update_checksum(update_checksum(before, delta), reverse_delta(delta)) == before);
  }
  CHECK(wrong == 0);
}

TEST_CASE("replacing a word by itself leaves any checksum but the second zero as it is") {
  u32 wrong = 0;
  for (u32 checksum = 0; checksum < 0xffff; ++checksum)
    wrong += updated(static_cast<u16>(checksum), 0xabcd, 0xabcd) != checksum;
  CHECK(wrong == 0);
  // 0xffff says that all words are zero, which no datagram's are; the sum's other zero comes out.
  CHECK(updated(0xffff, 0xabcd, 0xabcd) == 0x0000);
}

TEST_CASE("a sum folds to 16 bits without losing a carry") {
  CHECK(fold(0) == 0);
  CHECK(fold(0xffff) == 0xffff);
  CHECK(fold(0x1'0000) == 1);
  CHECK(fold(0x1'ffff) == 1);
  CHECK(fold(0xffff'ffff) == 0xffff);
  CHECK(fold(0xffff'0001) == 1);
}

TEST_CASE("the TTL's delta keeps the header checksum right for every TTL that is routed") {
  for (u32 ttl = 2; ttl < 256; ++ttl) {
    testing::FrameSpec spec{.ttl = static_cast<u8>(ttl)};
    const testing::Bytes before = testing::make_frame(spec);
    spec.ttl = static_cast<u8>(ttl - 1);
    const testing::Bytes after = testing::make_frame(spec);
    const Be16 was{static_cast<u16>(before[24] | before[25] << 8)};
    const Be16 is{static_cast<u16>(after[24] | after[25] << 8)};
    CHECK(update_checksum(was, ttl_delta) == is);
  }
}

TEST_CASE("an IPv4 address counts with its 32 bits, not with the prefix of its mapped form") {
  CHECK(word_sum(ip_from_v4(Be32{0xffff'0001})) == 0x1'0000);
  CHECK(word_sum(Ip{{0x0002'0001, 0, 0, 0xffff'ffff}}) == 0x2'0001);
}

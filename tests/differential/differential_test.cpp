// SPDX-License-Identifier: Apache-2.0
// The same frames through the core compiled for this host and through the XDP program in the kernel: same verdict, same
// action, same egress, same bytes. WEIR_DIFFERENTIAL_PACKETS sets the number of random packets; scripts/dev
// differential takes 5 million.
#define CATCH_CONFIG_MAIN
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/differential/packets.hpp"
#include "tests/differential/twins.hpp"

using namespace weir;
using testing::Bytes;
using testing::twins;

TEST_CASE("sound frames of every family, mode and VLAN depth have the same fate in both engines") {
  for (const Bytes& frame : testing::sound_frames()) twins().expect_same(frame);
  CHECK(twins().seen(Verdict::forwarded_nat) > 0);
  CHECK(twins().seen(Verdict::forwarded_l2dsr) > 0);
  CHECK(twins().seen(Verdict::forwarded_ipip) > 0);
  CHECK(twins().seen(Verdict::forwarded_gue) > 0);
  CHECK(twins().seen(Verdict::forwarded_icmp) > 0);
  CHECK(twins().seen(Verdict::returned_icmp) > 0);
  CHECK(twins().seen(Verdict::answered_echo) > 0);
  CHECK(twins().seen(Verdict::answered_too_big) > 0);
  CHECK(twins().seen(Verdict::returned_nat) > 0);
  CHECK(twins().seen(Verdict::client_no_neighbor) > 0);
  CHECK(twins().seen(Verdict::client_no_route) > 0);
}

TEST_CASE("boundary frames have the same fate in both engines") {
  for (const Bytes& frame : testing::boundary_frames()) twins().expect_same(frame);
}

TEST_CASE("random frames have the same fate in both engines") {
  const char* wanted = std::getenv("WEIR_DIFFERENTIAL_PACKETS");
  const u64 count = wanted ? std::strtoull(wanted, nullptr, 10) : 300000;
  testing::Random random(20240607);
  for (u64 i = 0; i < count; ++i) twins().expect_same(testing::random_frame(random));
  fmt::print("differential: {} frames, 0 differences\n", twins().checked());
}

TEST_CASE("where no answer may be sent, both engines say so and leave the frame as it is") {
  twins().allow_answers(false);
  testing::Random random(7);
  for (u64 i = 0; i < 20000; ++i) twins().expect_same(testing::random_frame(random));
  twins().allow_answers(true);
  CHECK(twins().seen(Verdict::answer_rate_limited) > 0);
}

TEST_CASE("the frames reach every verdict that a frame can reach") {
  for (u32 v = 0; v < verdict_count; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    // These need another state of the host or of the tables than this test has, or are those of flows_test.cpp; every
    // test run has headroom.
    if (verdict == Verdict::client_forwarding_off || verdict == Verdict::client_egress_unattached ||
        verdict == Verdict::internal_table || verdict == Verdict::no_headroom || verdict == Verdict::answered_reset ||
        verdict == Verdict::flow_ended)
      continue;
    INFO(verdict_table[v].name);
    CHECK(twins().seen(verdict) > 0);
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/sweeper.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace weir;
using namespace std::chrono_literals;

/// A sweeper over an empty flow table, on a loop of its own.
struct Bed {
  boost::asio::io_context loop{};
  OwnedFlows flows{flow_sizes_for(1U << 18, 1U << 10)};
  OwnedTables tables{sizes_for(16, 64, 4096)};
  bool is_needed = true;
  bool is_waiting = false;
  int begun = 0, ended = 0;
  daemon::Sweeper sweeper{loop,
                          flows.memory(),
                          tables.memory(),
                          {.needed = [this] { return is_needed; },
                           .begin =
                               [this] {
                                 ++begun;
                                 return flows::Unsettled(16);
                               },
                           .end =
                               [this](flows::Survey&) {
                                 ++ended;
                                 return is_waiting;
                               }}};
};

}  // namespace

TEST_CASE("the rest after a sweep grows with what it cost, so that sweeps stay below half a percent of a core") {
  CHECK(daemon::rest_after(0ms, true) == 250ms);
  CHECK(daemon::rest_after(0ms, false) == 1s);
  CHECK(daemon::rest_after(1ms, true) == 250ms);
  CHECK(daemon::rest_after(2ms, true) == 400ms);
  CHECK(daemon::rest_after(10ms, true) == 2s);
  CHECK(daemon::rest_after(10ms, false) == 2s);
}

TEST_CASE("somebody who asks is told after a sweep that began after the question, also where nothing else needs one") {
  Bed bed;
  bed.is_needed = false;
  int told = 0;
  bed.sweeper.ask([&] { ++told; });
  while (told == 0) bed.loop.run_one();
  CHECK(bed.begun == 1);
  CHECK(bed.ended == 1);
  // A question that comes while a sweep is under way is answered by the next one.
  bed.sweeper.ask([&] { ++told; });
  while (bed.begun == 1) bed.loop.run_one();
  bed.sweeper.ask([&] { ++told; });
  while (told < 3) bed.loop.run_one();
  CHECK(bed.ended == 3);
}

TEST_CASE("a sweep that nobody needs is left out") {
  Bed bed;
  bed.is_needed = false;
  bed.sweeper.start();
  bed.loop.run_for(1200ms);
  CHECK(bed.begun == 0);
}

TEST_CASE("a large table is swept in slices between which the loop does other work") {
  Bed bed;
  bed.sweeper.start();
  int handlers = 0;
  while (bed.ended == 0) handlers += static_cast<int>(bed.loop.run_one());
  CHECK(handlers > 4);
}

TEST_CASE("a change hurries the next sweep, no matter when it comes") {
  Bed bed;
  bed.sweeper.start();
  while (bed.ended == 0) bed.loop.run_one();
  bed.sweeper.hurry();
  bed.loop.run_for(900ms);
  CHECK(bed.ended >= 2);
}

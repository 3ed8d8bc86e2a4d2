// SPDX-License-Identifier: Apache-2.0
// Many targets, and more notifications than the socket holds. Times are printed, not judged: machines differ.
#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "tests/net/bed.hpp"

using namespace weir;
using namespace weir::net;

namespace {

std::string behind_gateway(int i) { return fmt::format("10.{}.{}.{}", 1 + i / 62500, i / 250 % 250, 1 + i % 250); }

double ms_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

TEST_CASE("ten thousand targets are looked up again after a route change and none is forgotten") {
  constexpr int targets = 10000;
  Bed bed;
  bed.peer("addr add 198.51.100.3/24 dev b0");
  bed.host("route add 10.0.0.0/8 via 198.51.100.2");
  Watcher& watcher = bed.open();
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < targets; ++i) watcher.watch(ip(behind_gateway(i).c_str()));
  fmt::print("watch() of {} targets: {:.1f} ms\n", targets, ms_since(began));
  REQUIRE(bed.until([&] { return bed.hops.size() == targets; }));
  bed.run(100);
  bed.hops.clear();
  bed.host("route replace 10.0.0.0/8 via 198.51.100.3");
  began = std::chrono::steady_clock::now();
  CHECK(bed.until([&] { return bed.hops.size() >= targets; }, 5000));
  fmt::print("all {} reported {:.1f} ms after the route change\n", targets, ms_since(began));
  for (int i = 0; i < targets; i += 999)
    CHECK(watcher.current(ip(behind_gateway(i).c_str()))->gateway == ip("198.51.100.3"));
}

TEST_CASE("a burst of route changes costs one pass over the targets per 20 ms") {
  Bed bed;
  Watcher& watcher = bed.open();
  watcher.watch(ip("198.51.100.2"));
  bed.run(100);
  const u64 before = watcher.counters().relookups;
  const auto began = std::chrono::steady_clock::now();
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += fmt::format("route add 10.9.{}.{} via 198.51.100.2\n", i / 250, i % 250);
  std::atomic<bool> done = false;
  std::jthread changes([&] {
    bed.host_batch(lines);
    done = true;
  });
  CHECK(bed.until([&] { return done.load(); }, 20000));
  const auto ticks = static_cast<u64>(ms_since(began) / 20);
  bed.run(100);
  const u64 passes = watcher.counters().relookups - before;
  CHECK(passes >= 1);
  CHECK(passes <= ticks + 2);
}

TEST_CASE("notifications that overran the socket are made up for by reading everything anew") {
  Bed bed;
  bed.peer("addr add 198.51.100.3/24 dev b0");
  bed.host("route add 203.0.113.0/24 via 198.51.100.2");
  Watcher& watcher = bed.open();
  watcher.watch(ip("203.0.113.7"));
  watcher.watch(ip("198.51.100.2"));
  REQUIRE(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved); }));
  REQUIRE(bed.until([&] { return bed.reported("203.0.113.7", HopState::resolved); }));
  bed.hops.clear();
  // The loop does not run meanwhile, so the socket fills up before the changes that matter.
  for (int round = 0; round < 4; ++round) {
    std::string lines;
    for (int i = 0; i < 12500; ++i)
      lines += fmt::format("route {} 10.9.{}.{} via 198.51.100.2\n", round % 2 == 0 ? "add" : "del", i / 250, i % 250);
    bed.host_batch(lines);
  }
  bed.host("route replace 203.0.113.0/24 via 198.51.100.3");
  bed.host("neigh replace 198.51.100.2 dev a0 lladdr 02:00:00:00:00:98 nud permanent");
  bed.host("addr add 198.51.100.9/24 dev a0");
  bed.host("link set a0 mtu 1400");
  CHECK(bed.until([&] { return watcher.counters().overruns > 0; }));
  bed.run(300);
  CHECK(watcher.current(ip("203.0.113.7"))->gateway == ip("198.51.100.3"));
  CHECK(bed.reported("198.51.100.2", HopState::resolved, 0x98'00'00'00'00'02ULL));
  CHECK(bed.addresses == std::vector{std::pair{ip("198.51.100.9"), true}});
  CHECK(watcher.link("a0")->mtu == 1400);
  CHECK_FALSE(bed.links.empty());
}

// Hidden: the table is the machine's, shared by all network namespaces, and this fills it. Run it alone, by its name.
TEST_CASE("a full neighbour table is told and does not stop the neighbours that have a place", "[.]") {
  Bed bed;
  bed.host("route add 10.0.0.0/8 dev a0");
  Watcher& watcher = bed.open();
  watcher.watch(ip("198.51.100.2"));
  REQUIRE(bed.until([&] { return bed.reported("198.51.100.2", HopState::resolved); }));
  for (int i = 0; i < 6000; ++i) watcher.watch(ip(behind_gateway(i).c_str()));
  REQUIRE(bed.until([&] { return !bed.warnings.empty(); }, 10000));
  CHECK(bed.warnings.front().find("gc_thresh3") != std::string::npos);
  CHECK(watcher.current(ip("198.51.100.2"))->state == HopState::resolved);
}

TEST_CASE("what the kernel refuses is told") {
  Bed bed;
  bed.open().nudge(ip("198.51.100.2"), 4711);
  REQUIRE(bed.until([&] { return !bed.warnings.empty(); }));
  CHECK(bed.warnings.front().find("No such device") != std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_warnings.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace weir;
using daemon::FlowWarnings;

FlowCounters evicted(u64 established, u64 embryos = 0, u64 misroutes = 0) {
  FlowCounters totals{};
  totals.evicted_established = established;
  totals.evicted_embryo = embryos;
  totals.misroutes = misroutes;
  return totals;
}

}  // namespace

TEST_CASE("evictions are told when they begin, and once a minute while they go on") {
  FlowWarnings warnings;
  CHECK(warnings.step(0, "web", evicted(0)).empty());
  CHECK(warnings.step(1, "web", evicted(5)).size() == 1);
  CHECK(warnings.step(2, "web", evicted(9)).empty());
  CHECK(warnings.step(59, "web", evicted(9)).empty());
  CHECK(warnings.step(62, "web", evicted(10)) ==
        std::vector<std::string>{"web: 10 established flows were evicted from the flow table; raise limits.flows"});
}

TEST_CASE("totals that stand still are told once and leave the status after ten minutes") {
  FlowWarnings warnings;
  warnings.step(0, "web", evicted(0));
  warnings.step(1, "web", evicted(0, 7));
  CHECK(warnings.step(100, "web", evicted(0, 7)).empty());
  CHECK(warnings.present(500).size() == 1);
  CHECK(warnings.present(602).empty());
}

TEST_CASE("a misroute stays in the status for good") {
  FlowWarnings warnings;
  warnings.step(0, "web", evicted(0));
  CHECK(warnings.step(1, "web", evicted(1, 0, 1)).size() == 2);
  CHECK(warnings.present(1'000'000).size() == 1);
}

TEST_CASE("what an earlier daemon counted is no growth, but its misroutes are in the status") {
  FlowWarnings warnings;
  CHECK(warnings.step(0, "web", evicted(100, 100, 2)).empty());
  CHECK(warnings.present(1).size() == 1);
}

TEST_CASE("totals that fall belong to a new service of the name") {
  FlowWarnings warnings;
  warnings.step(0, "web", evicted(100));
  CHECK(warnings.step(1, "web", evicted(0)).empty());
  CHECK(warnings.step(2, "web", evicted(1)).size() == 1);
}

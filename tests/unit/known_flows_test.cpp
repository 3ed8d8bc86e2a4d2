// SPDX-License-Identifier: Apache-2.0
// Rows of a service whose every flow is remembered.
#include "tests/unit/flow_bed.hpp"

using namespace weir;
using namespace weir::testing;

TEST_CASE("where the flow table has every flow, an unknown one is the new owner's at once") {
  FlowBed bed;
  model::Service web = keeping(2);
  web.track = model::Track::all;
  bed.replace({web});
  const u32 drained = bed.id("web", "198.51.100.1:8080");
  u32 known = 0;
  while (bed.open(client(known)) != drained) ++known;
  const auto age = [&](bool knows_all) {
    bed.pass(1);
    bed.publisher().age(bed.survey(), table::Time(std::chrono::seconds(0)),
                        [&](const std::string&) { return knows_all; });
  };
  const bool before = GENERATE(true, false);  // or not until the rows are moving
  age(before);
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  CHECK((bed.publisher().row_totals().moving == 0) == before);
  age(true);
  CHECK(bed.publisher().row_totals().moving == 0);
  for (u32 unknown = 5000; unknown < 5100; ++unknown) CHECK(bed.send(client(unknown), ack) != drained);
  CHECK(bed.send(client(known), ack) == drained);
  SECTION("an eviction takes the knowledge back") {
    ++bed.counters("web").evicted_established;
    age(true);
    web.backends[0].admin = Admin::active;
    bed.replace({web});
    CHECK(bed.publisher().row_totals().moving > 0);
  }
}

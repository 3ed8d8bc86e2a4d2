// SPDX-License-Identifier: Apache-2.0
// A service's rows become more or fewer, or its hash another one.
#include <map>

#include "control/table/rows.hpp"
#include "tests/unit/flow_bed.hpp"

using namespace weir;
using namespace weir::testing;

TEST_CASE("a larger table breaks no flow: each of its rows carries on the state of the one that it was part of") {
  FlowBed bed;
  model::Service web = keeping(5);
  bed.replace({web});
  auto at = begin(bed, 1000);
  web.rows = 1024;
  bed.replace({web});
  CHECK(bed.publisher().row_totals().moving > 0);
  CHECK(broken(bed, at) == 0);
  web.rows = 4096;
  web.backends.pop_back();
  bed.replace({web});
  for (u32 i = 1000; i < 1500; ++i) at[i] = bed.open(client(i));
  CHECK(broken(bed, at) == 0);
}

TEST_CASE("a smaller table keeps the flows that are remembered, and those of the backend that most of its rows had") {
  FlowBed bed;
  model::Service web = keeping(4, 1024);
  bed.replace({web});
  const auto at = begin(bed, 1000);
  web.rows = 512;
  const auto effect = bed.publisher().foresee(bed.plan({web})).front();
  CHECK(effect.losing.size() >= 3);
  CHECK(effect.dying.empty());
  bed.replace({web});
  const u32 lost = broken(bed, at);
  CHECK((lost > 0 && lost < 600));
  // Now all of them are remembered or with their row's owner.
  std::map<u32, u32> now;
  for (const auto& [i, backend] : at) now[i] = bed.send(client(i), ack);
  web.backends.push_back(backend("198.51.100.9:8080"));
  bed.replace({web});
  CHECK(broken(bed, now) == 0);
}

TEST_CASE("of rows that are joined the living backend that most of them had keeps what nobody remembers") {
  using table::joined, table::moving_row, table::pinned_row;
  const auto all = [](u32) { return true; };
  const std::vector<Row> rows{settled_row(7), settled_row(9), moving_row(8, 9), pinned_row(8)};
  CHECK(joined(rows, all) == pinned_row(9));
  CHECK(joined(rows, [](u32 id) { return id != 9; }) == pinned_row(7));
  CHECK(joined(rows, [](u32) { return false; }) == pinned_row(7));
  const std::vector<Row> alike{moving_row(8, 9), moving_row(8, 9)};
  CHECK(joined(alike, all) == moving_row(8, 9));
  std::vector<u32> losers;
  CHECK(table::loses_flows(rows, 1, all, losers));
  CHECK(losers == std::vector<u32>{7, 8});
  CHECK_FALSE(table::loses_flows(alike, 1, all, losers));
  CHECK_FALSE(table::loses_flows(rows, 8, all, losers));
}

TEST_CASE("a change of the hash keeps the flows that the flow table knows") {
  FlowBed bed;
  model::Service web = keeping(4);
  web.track = model::Track::all;
  bed.replace({web});
  const auto at = begin(bed, 500);
  web.hash = HashOn::source;
  bed.replace({web});
  CHECK(broken(bed, at) == 0);
}

TEST_CASE("a change of the hash keeps the flows of a drained backend, which moving rows have remembered") {
  FlowBed bed;
  model::Service web = keeping(4);
  bed.replace({web});
  const u32 drained = bed.id("web", "198.51.100.1:8080");
  std::map<u32, u32> at;
  for (u32 i = 0; i < 400; ++i)
    if (bed.open(client(i)) == drained) at[i] = drained;
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  CHECK(broken(bed, at) == 0);
  web.hash = HashOn::source;
  CHECK(bed.publisher().foresee(bed.plan({web})).front().losing.size() == 4);
  bed.replace({web});
  CHECK(broken(bed, at) == 0);
  bed.live(5);
  CHECK(broken(bed, at) == 0);
}

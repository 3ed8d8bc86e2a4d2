// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <map>

#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;
using table::RowTotals;

bool are_settled(const std::vector<Row>& rows) {
  return std::all_of(rows.begin(), rows.end(), [](Row row) { return row == settled_row(row_owner(row)); });
}

struct Stateless {
  Stateless() { ::setenv("WEIR_TEST_STATELESS", "1", 1); }
  ~Stateless() { ::unsetenv("WEIR_TEST_STATELESS"); }
};

}  // namespace

TEST_CASE("a new service and one that nobody changes have settled rows") {
  FlowBed bed;
  bed.replace({keeping(3)});
  CHECK(are_settled(bed.rows("web")));
  bed.restart();
  CHECK(are_settled(bed.rows("web")));
  CHECK(bed.publisher().row_totals() == RowTotals{});
  CHECK(bed.publisher().moved("web") == 0);
}

TEST_CASE("rows that change hands move, the others are not stored again") {
  FlowBed bed;
  bed.replace({keeping(3)});
  const auto before = bed.rows("web");
  bed.replace({keeping(4)});
  const auto after = bed.rows("web");
  const u32 fourth = bed.id("web", "198.51.100.4:8080");
  u32 moved = 0;
  for (u32 i = 0; i < after.size(); ++i) {
    if (row_owner(after[i]) == row_owner(before[i])) {
      CHECK(after[i] == before[i]);
      continue;
    }
    ++moved;
    CHECK(row_state(after[i]) == RowState::moving);
    CHECK(row_stable(after[i]) == row_owner(before[i]));
  }
  CHECK(moved >= bed.publisher().placed("web")->rows_owned.at(fourth));
  CHECK(bed.publisher().moved("web") == moved);
  CHECK(bed.publisher().row_totals() == RowTotals{moved, 0});
}

TEST_CASE("a row moves for the settle window, is pinned after it, and settles when a later pass finds no old flow") {
  FlowBed bed;
  model::Service web = keeping(3);
  web.settle = 60;
  bed.replace({web});
  const auto at = begin(bed, 500);
  web.backends.push_back(backend("198.51.100.4:8080"));
  bed.replace({web});
  CHECK(broken(bed, at) == 0);
  bed.live(58);
  CHECK(bed.publisher().row_totals().pinned == 0);
  bed.live(4);
  CHECK(bed.publisher().row_totals().moving == 0);
  const u32 pinned = bed.publisher().row_totals().pinned;
  CHECK(pinned > 0);
  CHECK(broken(bed, at) == 0);
  bed.live(5);
  CHECK(bed.publisher().row_totals().pinned > 0);  // their flows are remembered and go on
  for (const auto& [i, backend] : at) bed.send(client(i), rst);
  bed.live(62);
  CHECK(are_settled(bed.rows("web")));
  CHECK(bed.publisher().row_totals() == RowTotals{});
  bed.live(2);
  CHECK(bed.survey().entries == 0);
}

TEST_CASE("a pass that began before a change does not settle rows, whatever it found") {
  FlowBed bed;
  model::Service web = keeping(2);
  bed.replace({web});
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  bed.pass(5);
  const flows::Survey old = bed.survey();  // nobody there
  web.backends[0].admin = Admin::active;
  bed.replace({web});  // rows come back and are pinned
  const u32 pinned = bed.publisher().row_totals().pinned;
  REQUIRE(pinned > 0);
  bed.publisher().age(old, table::Time(std::chrono::hours(1000)));
  CHECK(bed.publisher().row_totals().pinned == pinned);
  bed.live(1);
  CHECK(are_settled(bed.rows("web")));
}

TEST_CASE("a pass that began before a window ended has not seen what came meanwhile, and does not prove a drain") {
  FlowBed bed;
  model::Service web = keeping(2);
  web.settle = 60;
  bed.replace({web});
  const u32 drained = bed.id("web", "198.51.100.1:8080");
  u32 silent = 0;
  while (bed.open(client(silent)) != drained) ++silent;
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  bed.live(59);
  bed.pass(3);
  const flows::Survey old = bed.survey();
  CHECK(old.backends[drained].remaining == 0);
  CHECK(bed.send(client(silent), ack) == drained);  // once more, when the pass has been where it is remembered
  bed.publisher().age(old, table::Time(std::chrono::nanoseconds(1'000'000'000'000 + 62'000'000'000)));
  REQUIRE(bed.publisher().rows_open_on(drained) == 0);
  CHECK_FALSE(bed.publisher().placed("web")->is_seen_by(old.tick));
  bed.pass(1);
  const flows::Survey next = bed.age();
  CHECK(bed.publisher().placed("web")->is_seen_by(next.tick));
  CHECK(next.backends[drained].remaining == 1);
}

TEST_CASE("a pass that began before a window ended does not settle the rows that were pinned by its end") {
  FlowBed bed;
  model::Service web = keeping(2);
  bed.replace({web});
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  bed.pass(5);
  const flows::Survey old = bed.survey();
  const table::Time late{std::chrono::hours(1000)};
  bed.publisher().age(old, late);
  const u32 pinned = bed.publisher().row_totals().pinned;
  REQUIRE(pinned > 0);
  bed.publisher().age(old, late);
  CHECK(bed.publisher().row_totals().pinned == pinned);
}

TEST_CASE("a row that moves on keeps the window of its first move") {
  FlowBed bed;
  model::Service web = keeping(3);
  web.settle = 60;
  bed.replace({web});
  web.backends.push_back(backend("198.51.100.4:8080"));
  bed.replace({web});
  bed.live(50);
  const auto first = bed.rows("web");
  for (u32 n = 5; n < 9; ++n) web.backends.push_back(backend("198.51.100." + std::to_string(n) + ":8080"));
  bed.replace({web});
  const auto second = bed.rows("web");
  bed.live(13);
  const auto now = bed.rows("web");
  u32 moved_on = 0;
  for (u32 i = 0; i < now.size(); ++i) {
    if (row_state(first[i]) == RowState::moving) CHECK(row_state(now[i]) != RowState::moving);
    if (row_state(first[i]) == RowState::settled && first[i] != second[i]) CHECK(now[i] == second[i]);
    moved_on += row_state(first[i]) == RowState::moving && row_owner(first[i]) != row_owner(second[i]) ? 1 : 0;
  }
  CHECK(moved_on > 0);
}

TEST_CASE("what the flow table still holds of a row that has just settled does not lead a flow astray later") {
  FlowBed bed;
  model::Service web = keeping(2);
  bed.replace({web});
  const u32 first = bed.id("web", "198.51.100.1:8080");
  std::map<u32, u32> at;
  for (u32 i = 0; i < 100; ++i) at[i] = bed.open(client(i));
  const auto set = [&](Admin admin) {
    web.backends[0].admin = admin;
    bed.replace({web});
  };
  const auto send = [&] {
    for (auto& [i, backend] : at) backend = bed.send(client(i), ack);
  };
  set(Admin::draining);
  send();  // now the flows of the first are remembered
  set(Admin::active);
  bed.live(1);
  REQUIRE(are_settled(bed.rows("web")));
  REQUIRE(std::any_of(at.begin(), at.end(), [&](const auto& flow) { return flow.second == first; }));
  set(Admin::maint);
  send();  // all of them are the second's
  set(Admin::active);
  CHECK(broken(bed, at) == 0);
}

TEST_CASE("rows are not settled while a flow of their service was evicted less than the idle timeout ago") {
  FlowBed bed;
  model::Service web = keeping(2);
  web.idle = 100;
  bed.replace({web});
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  web.backends[0].admin = Admin::active;
  bed.replace({web});
  bed.counters("web").evicted_established = 1;
  bed.live(95);
  CHECK(bed.publisher().row_totals().pinned > 0);
  bed.live(10);
  CHECK(are_settled(bed.rows("web")));
}

TEST_CASE(
    "a drain's deadline is the window of the rows that leave that backend, and for UDP the idle timeout is the most") {
  for (const bool udp : {false, true}) {
    FlowBed bed;
    model::Service web = keeping(3, 256, udp ? "udp:203.0.113.10:80" : "tcp:203.0.113.10:80");
    web.settle = 60;
    web.idle = udp ? 20 : 600;
    bed.replace({web});
    web.backends[0].admin = web.backends[1].admin = Admin::draining;
    web.backends[0].drain = model::Drain{.started = 1, .deadline = 200};
    web.backends[1].drain = model::Drain{.started = 1, .deadline = 0};
    bed.replace({web});
    const u32 first = bed.id("web", "198.51.100.1:8080");
    const u32 second = bed.id("web", "198.51.100.2:8080");
    const u32 of_first = bed.publisher().rows_open_on(first);
    CHECK((of_first > 0 && bed.publisher().rows_open_on(second) > 0));
    bed.live(udp ? 18 : 58);
    CHECK(bed.publisher().rows_open_on(second) > 0);
    bed.live(5);
    CHECK(bed.publisher().rows_open_on(second) == 0);
    CHECK(bed.publisher().rows_open_on(first) == (udp ? 0 : of_first));
    bed.live(140);
    CHECK(bed.publisher().rows_open_on(first) == 0);
  }
}

TEST_CASE("after a restart moving rows stay moving for a window that begins anew") {
  FlowBed bed;
  model::Service web = keeping(3);
  web.settle = 60;
  bed.replace({web});
  const auto at = begin(bed, 300);
  bed.replace({[&] {
    model::Service grown = web;
    grown.backends.push_back(backend("198.51.100.4:8080"));
    return grown;
  }()});
  const auto rows = bed.rows("web");
  bed.live(50);
  bed.restart();
  CHECK(bed.rows("web") == rows);
  bed.live(50);
  CHECK(bed.rows("web") == rows);
  CHECK(broken(bed, at) == 0);
  bed.live(12);
  CHECK(bed.publisher().row_totals().moving == 0);
  CHECK(broken(bed, at) == 0);
}

TEST_CASE("timeouts and the wish to remember every flow reach the service's record, at once and on a change") {
  FlowBed bed;
  model::Service web = keeping(1);
  bed.replace({web});
  const Service& record = bed.memory().services[bed.id("web")];
  CHECK(record.timeouts == timeouts_word(ticks_of_seconds(3 * 3600), ticks_of_seconds(60)));
  CHECK((record.table & table_track_all) == 0);
  web.idle = 7;
  web.idle_closing = 3;
  web.track = model::Track::all;
  bed.replace({web});
  CHECK(record.timeouts == timeouts_word(ticks_of_seconds(7), ticks_of_seconds(3)));
  CHECK((record.table & table_track_all) != 0);
  bed.restart();
  CHECK((record.table & table_track_all) != 0);
}

TEST_CASE("with WEIR_TEST_STATELESS rows are settled at once, and flows break") {
  const Stateless without_memory;
  FlowBed bed;
  bed.replace({keeping(3)});
  const auto at = begin(bed, 500);
  bed.replace({keeping(4)});
  CHECK(are_settled(bed.rows("web")));
  CHECK(broken(bed, at) > 50);
}

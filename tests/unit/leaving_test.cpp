// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;
using model::OnRemove;

const std::string second = "198.51.100.2:8080";

model::Service without_second(OnRemove how) {
  model::Service web = keeping(3);
  web.settle = 60;
  web.on_remove = how;
  web.backends.erase(web.backends.begin() + 1);
  return web;
}

/// Three backends with flows, the second of which has been removed.
struct Removed : FlowBed {
  explicit Removed(OnRemove how) {
    model::Service web = keeping(3);
    web.settle = 60;
    replace({web});
    gone = id("web", second);
    for (u32 i = 0; i < 300; ++i) at[i] = open(client(i));
    before = rows("web");
    replace({without_second(how)});
  }
  u32 answer_at(const std::string& address) {
    const MemoryTables view(memory(), nullptr);
    return find(view, *memory().globals, Be32{ip(address).word[3]}, key_word(KeyKind::answer, 6, to_be(u16{8080})));
  }
  bool is_named() {
    for (const Row row : rows("web"))
      if (row_owner(row) == gone || row_stable(row) == gone) return true;
    return false;
  }
  /// Flows of the removed backend that go on with it, of those that send.
  u32 stay() {
    u32 count = 0;
    for (const auto& [i, backend] : at)
      if (backend == gone) count += send(client(i), ack) == gone ? 1 : 0;
    return count;
  }
  u32 had() {
    u32 count = 0;
    for (const auto& [i, backend] : at) count += backend == gone ? 1 : 0;
    return count;
  }
  u32 gone;
  std::vector<Row> before;  // of the removal
  std::map<u32, u32> at;
};

}  // namespace

TEST_CASE("a backend removed with keep has its record, its answers and its flows until the last one ends") {
  Removed bed(OnRemove::keep);
  const auto is_kept = [&] {
    CHECK(bed.memory().backends[bed.gone].in_use == table::held_for_flows);
    CHECK(bed.state(bed.gone) == BackendState::draining);
    CHECK(bed.answer_at("198.51.100.2") == bed.gone);
    CHECK(bed.watched.contains("198.51.100.2"));
    CHECK(bed.stay() == bed.had());
  };
  is_kept();
  CHECK_FALSE(bed.publisher().placed("web")->backends.contains(second));
  bed.live(100);
  is_kept();
  for (const auto& [i, backend] : bed.at) bed.send(client(i), rst);
  bed.live(70);
  CHECK(bed.memory().backends[bed.gone].in_use == 0);
  CHECK(bed.answer_at("198.51.100.2") == 0);
  CHECK(bed.watched.empty());
  CHECK(bed.publisher().placed("web")->leaving.empty());
}

TEST_CASE("a kept backend without a flow stays for the settle window: a flow may have been silent") {
  Removed bed(OnRemove::keep);
  for (const auto& [i, backend] : bed.at)
    if (backend == bed.gone && i % 2 == 0) bed.send(client(i), rst);
  bed.live(55);
  CHECK(bed.memory().backends[bed.gone].in_use == table::held_for_flows);
  for (const auto& [i, backend] : bed.at)
    if (backend == bed.gone && i % 2 == 1) CHECK(bed.send(client(i), ack) == bed.gone);
}

TEST_CASE("a backend removed with rehash is gone at once, no row names it, and the rows that it had are settled") {
  Removed bed(OnRemove::rehash);
  CHECK(bed.memory().backends[bed.gone].in_use == 0);
  CHECK_FALSE(bed.is_named());
  const auto rows = bed.rows("web");
  for (u32 i = 0; i < rows.size(); ++i)
    if (row_owner(bed.before[i]) == bed.gone) CHECK(rows[i] == settled_row(row_owner(rows[i])));
  CHECK(bed.answer_at("198.51.100.2") == 0);
  CHECK(bed.watched.empty());
  CHECK(bed.stay() == 0);
  for (const auto& [i, backend] : bed.at)
    if (backend != bed.gone) CHECK(bed.send(client(i), ack) == backend);
}

TEST_CASE("a backend removed with reset ends its flows with a reset for a window's time, then it is gone") {
  Removed bed(OnRemove::reset);
  CHECK(bed.state(bed.gone) == BackendState::resetting);
  for (const auto& [i, backend] : bed.at) {
    bed.send(client(i), ack);
    CHECK(bed.verdict == (backend == bed.gone ? Verdict::answered_reset : Verdict::forwarded_nat));
    if (backend == bed.gone) CHECK(bed.open(client(i)) != bed.gone);
  }
  CHECK(bed.ended.size() == bed.had());
  bed.live(59);
  CHECK(bed.memory().backends[bed.gone].in_use == table::held_for_flows);
  bed.live(4);
  CHECK(bed.memory().backends[bed.gone].in_use == 0);
  CHECK_FALSE(bed.is_named());
}

TEST_CASE("a reset of flows that were remembered when their rows were pinned long ago ends as well") {
  FlowBed bed;
  model::Service web = keeping(3);
  web.settle = 60;
  bed.replace({web});
  const u32 gone = bed.id("web", second);
  std::vector<u32> of_gone;
  for (u32 i = 0; i < 300; ++i)
    if (bed.open(client(i)) == gone) of_gone.push_back(i);
  web.backends[1].admin = Admin::draining;
  bed.replace({web});
  for (const u32 i : of_gone) bed.open(client(i)), bed.send(client(i), ack);
  bed.live(100);
  bed.replace({without_second(OnRemove::reset)});
  bed.live(59);
  CHECK(bed.state(gone) == BackendState::resetting);
  bed.live(4);
  CHECK(bed.memory().backends[gone].in_use == 0);
}

TEST_CASE("an endpoint that comes back while its record is kept has its id and its flows again") {
  Removed bed(OnRemove::keep);
  bed.live(30);
  const auto given = bed.backends_given.size();
  model::Service web = keeping(3);
  web.settle = 60;
  bed.replace({web});
  CHECK(bed.id("web", second) == bed.gone);
  CHECK(bed.backends_given.size() == given);
  CHECK(bed.memory().backends[bed.gone].in_use == 1);
  CHECK(bed.state(bed.gone) == BackendState::open);
  CHECK(bed.watched.empty());
  CHECK(bed.stay() == bed.had());
  bed.live(70);
  CHECK(bed.stay() == bed.had());
  CHECK(bed.memory().backends[bed.gone].in_use == 1);
}

TEST_CASE("a restarted daemon lets leaving backends go on leaving, whatever its configuration now says of removal") {
  Removed bed(OnRemove::keep);
  bed.replace({without_second(OnRemove::rehash)});
  CHECK(bed.stay() == bed.had());
  bed.restart();
  CHECK(bed.state(bed.gone) == BackendState::draining);
  CHECK(bed.watched.contains("198.51.100.2"));
  CHECK(bed.stay() == bed.had());
  for (const auto& [i, backend] : bed.at) bed.send(client(i), rst);
  bed.live(130);
  CHECK(bed.memory().backends[bed.gone].in_use == 0);
}

TEST_CASE("a nat backend of another service takes the answers of one that leaves") {
  Removed bed(OnRemove::keep);
  model::Service other = service("other", "tcp:203.0.113.20:80", {backend(second)});
  const auto plan = bed.plan({without_second(OnRemove::keep), other});
  CHECK(bed.publisher().foresee(plan).front().dying == std::vector<u32>{bed.gone});
  bed.replace({without_second(OnRemove::keep), other});
  const u32 newcomer = bed.id("other", second);
  CHECK(newcomer != bed.gone);
  CHECK(bed.answer_at("198.51.100.2") == newcomer);
  CHECK(bed.memory().backends[bed.gone].in_use == 0);
  CHECK_FALSE(bed.is_named());
  CHECK(bed.watched.empty());
  CHECK(bed.stay() == 0);
}

TEST_CASE("a nat backend that moves to another service in one plan leaves at once, in either order") {
  for (const std::string to : {"aaa", "zzz"}) {
    FlowBed bed;
    model::Service web = keeping(3);
    model::Service other = service(to, "tcp:203.0.113.20:80", {backend("198.51.100.9:8080")});
    bed.replace({web, other});
    const u32 gone = bed.id("web", second);
    web.backends.erase(web.backends.begin() + 1);
    other.backends.push_back(backend(second));
    std::vector<u32> dying;
    const bool before = to == "aaa";
    const std::vector<model::Service> both = before ? std::vector{other, web} : std::vector{web, other};
    const model::Plan plan = bed.plan(both);
    CHECK(plan.steps.front().name == (before ? to : "web"));
    for (const auto& effect : bed.publisher().foresee(plan))
      dying.insert(dying.end(), effect.dying.begin(), effect.dying.end());
    CHECK(dying == std::vector<u32>{gone});
    bed.replace(both);
    CHECK(bed.memory().backends[gone].in_use == 0);
    CHECK(bed.publisher().placed("web")->leaving.empty());
  }
}

TEST_CASE("the id of a backend or service that went is not given out before a pass has freed its entries") {
  FlowBed bed(1 << 10, 1 << 8, sizes_for(1, 2, 512));
  model::Service web = keeping(2);
  web.track = model::Track::all;
  web.on_remove = OnRemove::rehash;
  bed.replace({web});
  const u32 service = bed.id("web");
  for (u32 i = 0; i < 50; ++i) bed.open(client(i));
  REQUIRE(bed.survey().entries == 50);
  bed.replace({});
  web.name = "next";
  web.vip.port = 81;
  bed.replace({web});  // waits for a pass: both tables are full
  CHECK(bed.id("next") == service);
  CHECK(bed.survey().entries == 0);
}

TEST_CASE("a pass that began before an id went out of use does not free it") {
  FlowBed bed;
  model::Service web = keeping(2);
  bed.replace({web});
  const u32 service = bed.id("web");
  const u32 first = bed.id("web", "198.51.100.1:8080");
  bed.pass(1);
  const flows::Survey old = bed.survey();
  bed.replace({});
  bed.publisher().age(old, table::Time(std::chrono::hours(1)));
  web.vip.port = 81;
  bed.replace({web});
  CHECK(bed.id("web") != service);
  CHECK(bed.id("web", "198.51.100.1:8080") != first);
  bed.live(1);
  bed.replace({web, testing::service("dns", "udp:203.0.113.10:53", {})});
  CHECK(bed.id("dns") == service);
}

TEST_CASE("a backend in maintenance is dead, and its flows pick anew for good") {
  FlowBed bed;
  model::Service web = keeping(3);
  bed.replace({web});
  std::map<u32, u32> at;
  for (u32 i = 0; i < 300; ++i) at[i] = bed.open(client(i));
  const u32 down = bed.id("web", second);
  web.backends[1].admin = Admin::maint;
  CHECK(bed.publisher().foresee(bed.plan({web})).front().dying == std::vector<u32>{down});
  bed.replace({web});
  CHECK(bed.state(down) == BackendState::dead);
  for (auto& [i, backend] : at) {
    const u32 now = bed.send(client(i), ack);
    CHECK(now != down);
    if (backend != down) CHECK(now == backend);
    backend = now;
  }
  web.backends[1].admin = Admin::active;
  bed.replace({web});
  for (const auto& [i, backend] : at) CHECK(bed.send(client(i), ack) == backend);
}

TEST_CASE("flows that a drain's end resets stay so through a restart, until the backend is made active") {
  FlowBed bed;
  model::Service web = keeping(3);
  bed.replace({web});
  const u32 drained = bed.id("web", second);
  u32 flow = 0;
  while (bed.open(client(flow)) != drained) ++flow;
  web.backends[1].admin = Admin::draining;
  bed.replace({web});
  CHECK(bed.send(client(flow), ack) == drained);
  bed.publisher().end("web", web.backends[1].endpoint);
  bed.publisher().end("web", model::parse_endpoint("198.51.100.99:1").value());  // there is none
  bed.send(client(flow), ack);
  CHECK(bed.verdict == Verdict::answered_reset);
  bed.restart();
  bed.send(client(flow), ack);
  CHECK(bed.verdict == Verdict::answered_reset);
  web.backends[1].admin = Admin::active;
  bed.replace({web});
  CHECK(bed.send(client(flow), ack) == drained);
  web.backends[1].admin = Admin::draining;
  bed.replace({web});
  CHECK(bed.state(drained) == BackendState::draining);
}

TEST_CASE("a service that gets another name keeps its id, its rows and its flows") {
  Removed bed(OnRemove::keep);
  const u32 id = bed.id("web");
  const auto rows = bed.rows("web");
  model::Service renamed = without_second(OnRemove::keep);
  renamed.name = "www";
  CHECK(bed.publisher().foresee(bed.plan({renamed})).front().dying.empty());
  bed.replace({renamed});
  CHECK(bed.publisher().placed("web") == nullptr);
  CHECK(bed.id("www") == id);
  CHECK(bed.rows("www") == rows);
  CHECK(bed.stay() == bed.had());
}

TEST_CASE("with a service go the backends that were leaving it") {
  Removed bed(OnRemove::keep);
  bed.replace({});
  CHECK(bed.watched.empty());
  for (const Backend& record : bed.memory().backends) CHECK(record.in_use == 0);
}

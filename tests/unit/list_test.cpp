// SPDX-License-Identifier: Apache-2.0
#include "control/flows/list.hpp"

#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;
using flows::Conn;
using flows::ConnState;
using flows::Filter;

/// Ten flows of a service that remembers every one.
struct Ten : FlowBed {
  Ten() {
    model::Service web = keeping(3);
    web.track = model::Track::all;
    replace({web});
    for (u32 i = 0; i < 10; ++i) at.push_back(open(client(i)));
  }
  std::vector<Conn> all(const Filter& filter = {}, u32 step = 1 << 20) {
    std::vector<Conn> found;
    flows::Walk walk(flow_memory(), memory(), filter);
    while (walk.step(step, tick(), [&](const Conn& c) { found.push_back(c); })) continue;
    return found;
  }
  std::vector<u32> at;  // backends
};

}  // namespace

TEST_CASE("a listed flow says who it is, where it goes and how long it has been silent") {
  Ten bed;
  bed.pass(5);
  const auto found = bed.all({.source = ip(client(3).source)});
  REQUIRE(found.size() == 1);
  const Conn& c = found.front();
  CHECK((c.service == bed.id("web") && c.backend == bed.at[3] && c.protocol == Protocol::tcp));
  CHECK((c.source == ip(client(3).source) && c.source_port == client(3).port));
  CHECK((c.destination == ip("203.0.113.10") && c.destination_port == 80));
  CHECK(c.state == ConnState::established);
  CHECK(c.idle == ticks_of_seconds(5));
  CHECK(row_owner(bed.rows("web")[c.row]) == c.backend);
}

TEST_CASE("a walk in small steps finds the same flows as one at once") {
  Ten bed;
  bed.send(client(20), syn);
  CHECK(bed.all().size() == 11);
  CHECK(bed.all({}, 7).size() == 11);
  CHECK(flows::count(bed.flow_memory(), bed.memory(), {}, bed.tick()) == 11);
}

TEST_CASE("a filter takes the flows to which all of it applies") {
  Ten bed;
  const u32 backend = bed.at[0];
  const auto of_backend = static_cast<std::size_t>(std::count(bed.at.begin(), bed.at.end(), backend));
  CHECK(bed.all({.backend = backend}).size() == of_backend);
  CHECK(bed.all({.service = bed.id("web")}).size() == 10);
  CHECK(bed.all({.service = 7}).empty());
  CHECK(bed.all({.protocol = Protocol::udp}).empty());
  CHECK(bed.all({.destination = ip("203.0.113.10"), .destination_port = 80}).size() == 10);
  CHECK(bed.all({.destination_port = 443}).empty());
  CHECK(bed.all({.source = ip(client(0).source), .source_port = u16{1}}).empty());
}

TEST_CASE("a flow's state follows its packets") {
  Ten bed;
  const Client c = client(30);
  const auto state = [&] {
    return flows::find(bed.flow_memory(), bed.memory(), bed.id("web"), ip(c.source), c.port, 80, bed.tick());
  };
  CHECK_FALSE(state());
  bed.send(c, syn);
  CHECK(state().value().state == ConnState::fresh);
  bed.send(c, ack);
  CHECK(state().value().state == ConnState::established);
  bed.send(c, fin);
  CHECK(state().value().state == ConnState::closing);
  bed.pass(61);
  CHECK_FALSE(state());
}

TEST_CASE("killed flows are answered with a reset, the others go on, and none is killed twice") {
  Ten bed;
  const u32 backend = bed.at[0];
  const auto doomed = static_cast<u64>(std::count(bed.at.begin(), bed.at.end(), backend));
  bed.pass(600);  // a silent flow is told as well
  CHECK(flows::kill(bed.flow_memory(), bed.memory(), {.backend = backend}, bed.tick()) == doomed);
  CHECK(flows::kill(bed.flow_memory(), bed.memory(), {.backend = backend}, bed.tick()) == 0);
  for (u32 i = 0; i < 10; ++i) {
    bed.send(client(i), ack);
    CHECK(bed.verdict == (bed.at[i] == backend ? Verdict::answered_reset : Verdict::forwarded_nat));
  }
  CHECK(bed.ended.size() == doomed);
  CHECK(bed.survey().backends[backend].killed == doomed);
}

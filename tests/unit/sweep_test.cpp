// SPDX-License-Identifier: Apache-2.0
#include "control/flows/sweep.hpp"

#include "control/flows/entry.hpp"
#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;
using flows::Closed;

/// Puts an entry into the flow table as the fast path would, into any bucket: a sweep looks at all of them.
FlowEntry& plant(FlowBed& bed, u32 at, const Client& client, u32 backend, u64 flags = 0, FlowKind kind = FlowKind::live,
                 u32 age = 0) {
  const u32 ports = u32{to_be(client.port).raw} | u32{to_be(client.vip_port).raw} << 16;
  FlowEntry& entry = (kind == FlowKind::embryo ? bed.flow_memory().embryos : bed.flow_memory().flows)[at].entry[at % 4];
  fill(entry, flow_key(V4{{ip(client.source).word[3]}, {}}, ports, bed.id("web")),
       flow_word(backend, kind, flags, bed.tick() - age));
  return entry;
}

/// A service whose rows are all moving from its only backend to a second one.
struct Moving : FlowBed {
  Moving() {
    replace({keeping(1)});
    first = id("web", "198.51.100.1:8080");
    model::Service web = keeping(2);
    web.backends[0].admin = Admin::draining;
    replace({web});
    second = id("web", "198.51.100.2:8080");
  }
  u32 first, second;
};

}  // namespace

TEST_CASE("a sweep counts each backend's flows that go on, apart from those that are over or ended") {
  Moving bed;
  plant(bed, 0, client(0), bed.first);
  plant(bed, 1, client(1), bed.first, flow_client_fin);  // half closed: it goes on
  plant(bed, 2, client(2), bed.first, flow_client_fin | flow_backend_fin);
  plant(bed, 3, client(3), bed.first, flow_reset);
  plant(bed, 4, client(4), bed.first, flow_killed);
  plant(bed, 5, client(5), bed.second, 0, FlowKind::embryo);
  plant(bed, 6, client(6), bed.second, 0, FlowKind::live, 7);
  plant(bed, 7, client(7), bed.second, 0, FlowKind::live, 3);
  const flows::Survey found = bed.survey();
  CHECK(found.backends[bed.first].remaining == 2);
  CHECK(found.backends[bed.first].finished == 2);
  CHECK(found.backends[bed.first].killed == 1);
  CHECK(found.backends[bed.second].remaining == 3);
  CHECK(found.backends[bed.second].last_tick == bed.tick());
  CHECK(found.services[bed.id("web")].entries == 8);
  CHECK(found.services[bed.id("web")].embryos == 1);
  CHECK((found.entries == 7 && found.embryos == 1 && found.freed == 0));
}

TEST_CASE("a sweep frees what is too old, and says how it ended") {
  Moving bed;
  const u32 day = ticks_of_seconds(86400);
  plant(bed, 0, client(0), bed.first, 0, FlowKind::live, day);
  plant(bed, 1, client(1), bed.first, flow_client_fin, FlowKind::live, day);
  plant(bed, 2, client(2), bed.first, flow_client_fin | flow_reset, FlowKind::live, day);
  plant(bed, 3, client(3), bed.first, flow_killed, FlowKind::live, day);
  plant(bed, 4, client(4), bed.second, 0, FlowKind::embryo, day);
  plant(bed, 5, client(5), bed.first, 0, FlowKind::live, ticks_of_seconds(3600));         // within 3 h
  plant(bed, 6, client(6), bed.first, flow_reset, FlowKind::live, ticks_of_seconds(30));  // within 60 s
  const flows::Survey found = bed.survey();
  const auto& web = found.services[bed.id("web")];
  for (const Closed why : {Closed::idle, Closed::fin, Closed::rst, Closed::killed})
    CHECK(web.closed[static_cast<u32>(why)] == 1);
  CHECK(web.unanswered == 1);
  CHECK((web.entries == 2 && found.freed == 5));
  CHECK(bed.survey().freed == 0);
}

TEST_CASE("a sweep says which rows hold a flow of another backend than their owner, by the core's own hash") {
  Moving bed;
  u32 strangers = 0;
  for (u32 i = 0; i < 64; ++i) {
    const bool old = i % 3 == 0;
    plant(bed, i, client(i), old ? bed.first : bed.second);
    strangers += old ? 1 : 0;
  }
  const flows::Survey found = bed.survey();
  const flows::Strangers& rows = found.rows.at(bed.id("web"));
  for (u32 i = 0; i < 64; ++i) {
    const Bytes frame = make_frame({.source = client(i).source, .source_port = client(i).port, .tcp_flags = ack});
    const HostEngine engine(bed.memory(), [](const Ip&, const Ip&, u32) { return Route{}; });
    const u32 row = engine.run(frame, Bed::ingress).row - bed.publisher().placed("web")->first_row;
    if (i % 3 == 0) CHECK(rows.test(row));
  }
  u32 set = 0;
  for (u32 row = 0; row < 256; ++row) set += rows.test(row) ? 1 : 0;
  CHECK((set > strangers / 2 && set <= strangers));
}

TEST_CASE("a row does not settle while a flow in it has been ended and not been told, whosever it was") {
  FlowBed bed;
  model::Service web = keeping(1);
  web.settle = 60;
  bed.replace({web});
  web.backends.push_back(backend("198.51.100.2:8080"));
  bed.replace({web});
  const u32 second = bed.id("web", "198.51.100.2:8080");
  u32 n = 0;
  while (bed.open(client(n)) != second) ++n;  // a flow of its row's owner
  CHECK(flows::kill(bed.flow_memory(), bed.memory(), {.source = ip(client(n).source)}, bed.tick()) == 1);
  bed.live(70);
  CHECK(bed.publisher().row_totals() == table::RowTotals{0, 1});
  bed.send(client(n), ack);
  CHECK(bed.ended.size() == 1);
}

TEST_CASE("a sweep frees the flows of settled rows, unless the service remembers every flow") {
  for (const bool all : {false, true}) {
    FlowBed bed;
    model::Service web = keeping(2);
    if (all) web.track = model::Track::all;
    bed.replace({web});
    plant(bed, 0, client(0), bed.id("web", "198.51.100.1:8080"));
    const flows::Survey found = bed.survey();
    CHECK(found.freed == (all ? 0 : 1));
    CHECK(found.services[bed.id("web")].entries == (all ? 1 : 0));
  }
}

TEST_CASE("a sweep frees the entries of services and backends that are not in use") {
  Moving bed;
  plant(bed, 0, client(0), 200);
  FlowEntry& other = plant(bed, 1, client(1), bed.first);
  other.key.word[2] = u64{7} << 32;
  CHECK(bed.survey().freed == 2);
}

TEST_CASE("a flow that is promoted while a sweep is under way is seen, at whatever bucket the sweep stands") {
  Moving bed;
  const u64 buckets = bed.flow_memory().embryos.size() + bed.flow_memory().flows.size();
  for (u64 at = 0; at < buckets; at += buckets / 16) {
    const Client c = client(static_cast<u32>(at));
    bed.send(c, syn);
    flows::Sweep pass(bed.flow_memory(), bed.memory(), bed.tick());
    pass.step(static_cast<u32>(at));
    bed.send(c, ack);  // leaves the nursery
    while (!pass.step(64)) continue;
    CHECK(pass.take().backends[bed.second].remaining >= 1);
    bed.flow_memory().flows[0] = {};
    for (FlowBucket& b : bed.flow_memory().flows) b = {};
  }
}

TEST_CASE("an entry that is being written holds no flow, and one that has changed hands is not freed") {
  Moving bed;
  FlowEntry& entry = plant(bed, 0, client(0), bed.first);
  flows::Seen seen;
  REQUIRE(flows::read(entry, seen));
  REQUIRE(claim(entry, seen.word));
  CHECK_FALSE(flows::read(entry, seen));
  CHECK(bed.survey().entries == 0);
  CHECK(entry.word != 0);
}

TEST_CASE("sweeps of IPv6 flows find their rows") {
  FlowBed bed;
  model::Service web = service("web", "tcp:[2001:db8:f::10]:80", {backend("[2001:db8:b::1]:80")});
  web.on_remove = model::OnRemove::keep;
  bed.replace({web});
  web.backends.push_back(backend("[2001:db8:b::2]:80"));
  web.backends[0].admin = Admin::draining;
  bed.replace({web});
  const Client six{.source = "2001:db8:c::1", .vip = "2001:db8:f::10"};
  bed.send(six, ack);  // of before the change
  const flows::Survey found = bed.survey();
  CHECK(found.backends[bed.id("web", "[2001:db8:b::1]:80")].remaining == 1);
  const HostEngine engine(bed.memory(), [](const Ip&, const Ip&, u32) { return Route{}; });
  const Bytes frame = make_frame({.source = six.source, .destination = six.vip, .tcp_flags = ack});
  CHECK(found.rows.at(bed.id("web"))
            .test(engine.run(frame, Bed::ingress).row - bed.publisher().placed("web")->first_row));
}

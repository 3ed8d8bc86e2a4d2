// SPDX-License-Identifier: Apache-2.0
// Backends whose flows are ended: in maintenance, at a drain's end, removed with a reset.
#include <map>

#include "tests/unit/flow_bed.hpp"

using namespace weir;
using namespace weir::testing;

namespace {
const std::string second = "198.51.100.2:8080";
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
  web.on_remove = model::OnRemove::reset;
  web.backends.erase(web.backends.begin() + 1);
  bed.replace({web});
  bed.live(59);
  CHECK(bed.state(gone) == BackendState::resetting);
  bed.live(4);
  CHECK(bed.memory().backends[gone].in_use == 0);
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

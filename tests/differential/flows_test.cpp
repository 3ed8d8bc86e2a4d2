// SPDX-License-Identifier: Apache-2.0
// Packets of few flows through rows, backends and a flow table in random states: what either engine remembers after
// each is the same, entry by entry. WEIR_DIFFERENTIAL_PACKETS sets how many.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iterator>

#include "control/model/text.hpp"
#include "tests/differential/packets.hpp"
#include "tests/differential/twins.hpp"

namespace {

using namespace weir;
using testing::Bytes;
using testing::FrameSpec;
using testing::Random;
using testing::twins;

u32 below(Random& random, u32 bound) { return static_cast<u32>(random() % bound); }
bool one_in(Random& random, u32 n) { return below(random, n) == 0; }

/// A backend of the service, now and then nobody, or one that there is not.
u32 some_backend(Random& random, const table::Placed& placed) {
  if (placed.backends.empty() || one_in(random, 40)) return one_in(random, 2) ? nobody : 5000;
  auto chosen = placed.backends.begin();
  std::advance(chosen, below(random, static_cast<u32>(placed.backends.size())));
  return chosen->second;
}

/// Rows in all states, also in one that there is not; a few settled services.
void shuffle_rows(Random& random, const model::Service& service) {
  const table::Placed& placed = *twins().publisher().placed(service.name);
  TableMemory& memory = twins().memory();
  const bool settled = one_in(random, 6);
  for (u32 i = 0; i < placed.rows; ++i) {
    const auto state = static_cast<RowState>(one_in(random, 50) ? below(random, 256) : below(random, 3));
    const u32 owner = some_backend(random, placed);
    store_once(memory.rows[placed.first_row + i],
               settled ? settled_row(owner) : make_row(state, owner, some_backend(random, placed)));
  }
  Service& record = memory.services[placed.id];
  record.timeouts = timeouts_word(1 + below(random, 40), 1 + below(random, 8));
  record.table = one_in(random, 3) ? record.table | table_track_all : record.table & ~table_track_all;
  for (const auto& [endpoint, id] : placed.backends)
    memory.backends[id].state = one_in(random, 2) ? 0 : below(random, 4);
}

/// One of a service's few flows: of eight clients, from two ports.
FrameSpec flow_of(Random& random, const model::Service& service) {
  const bool v6 = !is_v4(service.vip.address);
  FrameSpec spec;
  spec.source = fmt::format(fmt::runtime(v6 ? "2001:db8:1::{}" : "198.18.0.{}"), 1 + below(random, 8));
  spec.destination = model::to_text(service.vip.address);
  spec.source_port = static_cast<u16>(40000 + below(random, 2));
  spec.destination_port = service.vip.port != 0 ? service.vip.port : static_cast<u16>(80 + below(random, 2));
  spec.protocol = static_cast<u8>(service.protocol);
  constexpr u8 usual[] = {0x02, 0x10, 0x10, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12};
  spec.tcp_flags = one_in(random, 8) ? static_cast<u8>(random()) : usual[below(random, sizeof usual)];
  spec.payload = below(random, 40);
  if (one_in(random, 20)) spec.ttl = 1;
  if (one_in(random, 10)) spec.vlans = {7};
  if (!v6 && one_in(random, 20)) spec.fragment = one_in(random, 2) ? 0x2000 : 0x0005;
  if (!v6 && one_in(random, 10)) spec.ipv4_options = Bytes(8, 1);
  if (spec.protocol == 6 && one_in(random, 10)) spec.tcp_options = Bytes(12, 1);
  return spec;
}

/// A packet of the flow, its answer from one of the backends, or an error about it.
Bytes frame_of(Random& random, const model::Service& service) {
  FrameSpec spec = flow_of(random, service);
  const u32 kind = below(random, 10);
  if (kind >= 2 || service.backends.empty()) return testing::make_frame(spec);
  std::swap(spec.source, spec.destination);
  std::swap(spec.source_port, spec.destination_port);
  const bool v6 = !is_v4(service.vip.address);
  if (kind == 0) return testing::error_about(spec, v6 ? 1 : 3, 1, 200);
  const model::Backend& from = service.backends[below(random, static_cast<u32>(service.backends.size()))];
  spec.source = model::to_text(from.endpoint.address);
  if (from.endpoint.port != 0) spec.source_port = from.endpoint.port;
  if (is_v4(from.endpoint.address) == v6) return testing::make_frame(flow_of(random, service));
  return testing::make_frame(spec);
}

/// The operator ends a flow that is remembered, or the sweep forgets one: in both tables alike.
void interfere(Random& random, FlowMemory& kernel, FlowMemory& native) {
  const u32 bucket = below(random, testing::Twins::flow_sizes.flows);
  const u32 i = below(random, bucket_entries);
  const u64 word = native.flows[bucket].entry[i].word;
  if (!is_flow(word)) return;
  const u64 now = one_in(random, 2) ? word | flow_killed : 0;
  kernel.flows[bucket].entry[i].word = native.flows[bucket].entry[i].word = now;
}

}  // namespace

TEST_CASE("packets of few flows leave the same flow table behind in both engines") {
  const char* wanted = std::getenv("WEIR_DIFFERENTIAL_PACKETS");
  const u64 count = wanted ? std::strtoull(wanted, nullptr, 10) : 300'000;
  Random random(20241123);
  const std::vector<model::Service> services = testing::world_services();
  const std::vector<Row> rows(twins().memory().rows.begin(), twins().memory().rows.end());
  const std::vector<Service> records(twins().memory().services.begin(), twins().memory().services.end());
  const std::vector<Backend> backends(twins().memory().backends.begin(), twins().memory().backends.end());
  u32 tick = 0xffff'fff0;  // it overflows on the way
  twins().set_tick(tick);
  std::vector<std::size_t> few;
  for (u64 i = 0; i < count; ++i) {
    if (i % 400 == 0) {
      few.clear();
      for (int j = 0; j < 3; ++j) few.push_back(below(random, static_cast<u32>(services.size())));
      for (const std::size_t s : few) shuffle_rows(random, services[s]);
    }
    if (i % 20'000 == 0) twins().forget();
    if (one_in(random, 16)) twins().set_tick(tick += one_in(random, 8) ? below(random, 60) : 1);
    if (one_in(random, 50)) interfere(random, twins().kernel_flows(), twins().flows());
    twins().expect_same(frame_of(random, services[few[below(random, 3)]]));
  }
  twins().expect_same_flow_counters();
  const FlowCounters total = twins().counted();
  CHECK(total.hits > 0);
  CHECK(total.remembered > 0);
  CHECK(total.promoted > 0);
  CHECK(total.reselected > 0);
  CHECK(total.expired > 0);
  CHECK(total.evicted_embryo > 0);
  CHECK(total.evicted_established > 0);
  CHECK(total.evicted_udp > 0);
  CHECK(total.misroutes > 0);
  CHECK(total.resets > 0);
  CHECK(twins().seen(Verdict::answered_reset) == total.resets);
  CHECK(twins().seen(Verdict::flow_ended) > 0);
  fmt::print("differential: {} hits, {} remembered, {} promoted, {} evicted, {} misroutes, {} resets\n", total.hits,
             total.remembered, total.promoted, total.evicted_established, total.misroutes, total.resets);
  std::copy(rows.begin(), rows.end(), twins().memory().rows.begin());
  std::copy(records.begin(), records.end(), twins().memory().services.begin());
  std::copy(backends.begin(), backends.end(), twins().memory().backends.begin());
}

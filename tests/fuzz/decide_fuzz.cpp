// SPDX-License-Identifier: Apache-2.0
// Any bytes as a frame through the fast path, on tables that have every mode, and rows and backends in every state: no
// sanitizer complains, no law is broken.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/memory/host_engine.hpp"
#include "tests/support/laws.hpp"
#include "tests/support/world.hpp"

namespace {

using namespace weir;

constexpr u32 ingress = 5;
constexpr u32 other = 9;

/// Answers leave by the one interface or the other, or not at all, by the client's last byte; some are too long.
Route route(const Ip& client, const Ip&, u32 length) {
  constexpr u32 mtu = 1400;
  const u32 last = client.word[3] >> 24;
  const u64 hop = hop_word(0x7700'0000'0002, port_index(last % 2 == 0 ? ingress : other));
  if (length > mtu) return {Verdict::too_big, hop, mtu};
  constexpr Verdict reasons[] = {Verdict::client_no_route, Verdict::client_no_neighbor, Verdict::answer_not_forwarded,
                                 Verdict::client_egress_unattached};
  if (last > 250) return {reasons[last % 4], 0};
  return {Verdict::returned_nat, hop};
}

class World {
 public:
  World() : tables_(testing::world_sizes()), publisher_(testing::publish_world(tables_.memory(), ingress, other)) {}
  TableMemory& memory() { return tables_.memory(); }
  /// Rows and backends in every state, by their numbers; half of the services remember all.
  void unsettle() {
    u32 i = 0;
    for (Service& service : memory().services) {
      if (service.in_use == 0) continue;
      // The stable owner is the next row's: another backend of the service, mostly.
      const auto rows = memory().rows.subspan(table_first_row(service.table), 1U << table_log2_rows(service.table));
      for (u32 r = 0; r + 1 < rows.size(); ++r)
        rows[r] = make_row(static_cast<RowState>(++i % 3), row_owner(rows[r]), row_owner(rows[r + 1]));
      if (++i % 2 == 0) service.table |= table_track_all;
    }
    for (Backend& backend : memory().backends) backend.state = backend.in_use == 0 ? 0 : ++i % 8 % 5 % 4;
  }

 private:
  OwnedTables tables_;
  std::unique_ptr<table::Publisher> publisher_;
};

/// The fast path with a flow table of the fewest entries.
class Remembering {
 public:
  Remembering() { world_.unsettle(); }
  /// As many times as a flow needs to be established, and once more.
  template <class Check>
  void run(const Check& check) {
    std::memset(flows_.memory().embryos.data(), 0, flows_.memory().embryos.size_bytes());
    std::memset(flows_.memory().flows.data(), 0, flows_.memory().flows.size_bytes());
    for (int i = 0; i < 3; ++i) check(engine_);
  }

 private:
  World world_;
  OwnedFlows flows_{{.embryos = 1, .flows = 1, .ghosts = 1}};
  std::vector<FlowCounters> counters_{testing::world_sizes().services};
  HostEngine engine_{world_.memory(), route, [] { return true; },
                     MemoryFlows{.memory = flows_.memory(), .counters = counters_}};
};

void check(const HostEngine& engine, const testing::Bytes& frame, u32 headroom) {
  const Outcome outcome = engine.run(frame, ingress, headroom);
  const std::string why = testing::broken_law(frame, outcome);
  if (why.empty()) return;
  std::fprintf(stderr, "law broken with %u bytes of headroom: %s\nin  ", headroom, why.c_str());
  for (const u8 byte : frame) std::fprintf(stderr, "%02x", byte);
  std::fprintf(stderr, "\nout ");
  for (const u8 byte : outcome.frame) std::fprintf(stderr, "%02x", byte);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  static World world;
  static const HostEngine engine(world.memory(), route);
  static const HostEngine silent(world.memory(), route, [] { return false; });
  const testing::Bytes frame(data, data + size);
  check(engine, frame, 256);
  check(engine, frame, 16);  // less than any outer header
  check(silent, frame, 256);
  static Remembering remembering;
  remembering.run([&](const HostEngine& each) { check(each, frame, 256); });
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Any bytes as a frame through the fast path, on tables that have every mode: no sanitizer complains, no law is broken.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

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

 private:
  OwnedTables tables_;
  std::unique_ptr<table::Publisher> publisher_;
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
  return 0;
}

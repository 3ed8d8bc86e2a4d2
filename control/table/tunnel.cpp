// SPDX-License-Identifier: Apache-2.0
#include "control/table/tunnel.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "control/table/allocator.hpp"

namespace weir::table {
namespace {

/// The host bits of a prefix that ends `length` bits into this word, as a mask in network order.
u32 host_bits(u32 length) { return length >= 32 ? 0 : to_be(static_cast<u32>(u64{0xffff'ffff} >> length)).raw; }

bool same(const Tunnel& a, const Tunnel& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

Tunnel tunnel_record(const model::Tunnel& tunnel) {
  Tunnel record{};
  if (tunnel.source4) {
    record.spread4 = host_bits(tunnel.source4->length);
    record.source4 = tunnel.source4->address.word[3] & ~record.spread4;
  }
  if (tunnel.source6) {
    for (u32 i = 0; i < 4; ++i) {
      const u32 before = std::min(tunnel.source6->length, i * 32);
      record.source6.word[i] = tunnel.source6->address.word[i] & ~host_bits(tunnel.source6->length - before);
    }
    record.spread6 = host_bits(std::max(tunnel.source6->length, 96U) - 96);
  }
  record.gue_port = to_be(tunnel.gue_port);
  return record;
}

void write_tunnel(TableMemory& memory, const model::Tunnel& tunnel) {
  Globals& globals = *memory.globals;
  const Tunnel wanted = tunnel_record(tunnel);
  const u32 used = globals.tunnel & 1;
  if (same(globals.tunnels[used], wanted)) return;
  Tunnel& unused = globals.tunnels[1 - used];
  if (!same(unused, Tunnel{})) std::this_thread::sleep_for(rest_time);
  unused = wanted;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  store_once(globals.tunnel, 1 - used);
}

}  // namespace weir::table

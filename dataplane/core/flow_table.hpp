// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The flow table's layout: bounded memory of the flows whose backend their row alone cannot tell. Any CPU and the
// control plane change it at the same time, entry by entry, without a lock.
#pragma once

#include "dataplane/core/flow.hpp"

namespace weir {

inline constexpr u64 flow_magic = 0x0031'776f'6c46'4c42ULL;  // "BLFlow1" in memory order
inline constexpr u32 flow_layout_version = 1;

/// Time in the flow table: ticks of 2^28 ns (0.268 s) of CLOCK_MONOTONIC. Ages are differences modulo 2^32.
inline constexpr u32 tick_shift = 28;
LB_INLINE constexpr u32 tick_of(u64 nanoseconds) { return static_cast<u32>(nanoseconds >> tick_shift); }
/// Whole ticks of a number of seconds, never fewer than one.
LB_INLINE constexpr u32 ticks_of_seconds(u64 seconds) {
  const u64 ticks = (seconds * 1'000'000'000ULL) >> tick_shift;
  return ticks == 0 ? 1 : ticks > 0x7fff'ffff ? 0x7fff'ffff : static_cast<u32>(ticks);
}
LB_INLINE constexpr u32 age_of(u32 tick, u32 now) {
  const u32 age = now - tick;
  return age >> 31 ? 0 : age;  // another CPU's clock may be a tick ahead
}

/// Who a flow is: the client's address, its ports, its service (which stands for the VIP and the protocol).
struct FlowKey {
  u64 word[3];  // 0, 1: source as Ip lies in memory; 2: ports as in Packet in the low half, service id in the high half
};
LB_INLINE constexpr u32 key_ports(const FlowKey& key) { return static_cast<u32>(key.word[2]); }
LB_INLINE constexpr u32 key_service(const FlowKey& key) { return static_cast<u32>(key.word[2] >> 32); }
LB_INLINE constexpr Ip key_source(const FlowKey& key) {
  return {{static_cast<u32>(key.word[0]), static_cast<u32>(key.word[0] >> 32), static_cast<u32>(key.word[1]),
           static_cast<u32>(key.word[1] >> 32)}};
}
LB_INLINE FlowKey flow_key(const V4& net, u32 ports, u32 service) {
  return {{0, u64{v4_mapped_prefix} | u64{net.source.raw} << 32, u64{ports} | u64{service} << 32}};
}
LB_INLINE FlowKey flow_key(const V6& net, u32 ports, u32 service) {
  return {{u64{net.source[0].raw} | u64{net.source[1].raw} << 32, u64{net.source[2].raw} | u64{net.source[3].raw} << 32,
           u64{ports} | u64{service} << 32}};
}

/// Where a key's entry is looked for: keyed like the flow hash, so that nobody outside can aim at one bucket.
LB_INLINE u64 key_hash(const FlowKeys& keys, const FlowKey& key) {
  u64 sum = 0;
  for (u32 i = 0; i < 3; ++i) sum += nh(keys, i, static_cast<u32>(key.word[i]), static_cast<u32>(key.word[i] >> 32));
  return finish(keys, sum);
}

// --- Entries --------------------------------------------------------------------------------------------------------
// word: bits 0..23 backend, 24..25 kind, 26..31 flags, 32..63 tick of the last packet. The word is written last and
// claimed first by compare-and-swap, so that a reader that sees it twice alike around the key has seen one flow.

enum class FlowKind : u32 { empty = 0, busy = 1, embryo = 2, live = 3 };

inline constexpr u32 flow_flags_shift = 26;
inline constexpr u64 flow_known = u64{1} << 26;        // not begun by a SYN that we saw: it was there before
inline constexpr u64 flow_udp = u64{1} << 27;          // a UDP flow
inline constexpr u64 flow_client_fin = u64{1} << 28;   // the client has sent a FIN
inline constexpr u64 flow_backend_fin = u64{1} << 29;  // the backend has (seen in mode nat alone)
inline constexpr u64 flow_reset = u64{1} << 30;        // either has sent a RST
inline constexpr u64 flow_killed = u64{1} << 31;       // the operator has ended it

LB_INLINE constexpr u64 flow_word(u32 backend, FlowKind kind, u64 flags, u32 tick) {
  return u64{backend & backend_id_mask} | u64{static_cast<u32>(kind)} << 24 | flags | u64{tick} << 32;
}
LB_INLINE constexpr u32 flow_backend(u64 word) { return static_cast<u32>(word) & backend_id_mask; }
LB_INLINE constexpr FlowKind flow_kind(u64 word) { return static_cast<FlowKind>(static_cast<u32>(word >> 24) & 3); }
LB_INLINE constexpr u32 flow_tick(u64 word) { return static_cast<u32>(word >> 32); }
LB_INLINE constexpr u64 flow_flags(u64 word) { return word & 0xfc00'0000ULL; }
/// Whether the word names a flow: neither empty nor about to be written.
LB_INLINE constexpr bool is_flow(u64 word) { return (word >> 25 & 1) != 0; }

struct alignas(32) FlowEntry {
  FlowKey key;
  u64 word;
};
static_assert(sizeof(FlowEntry) == 32);

inline constexpr u32 bucket_entries = 4;
struct alignas(128) FlowBucket {
  FlowEntry entry[bucket_entries];
};
static_assert(sizeof(FlowBucket) == 128);

/// What is left of established flows that had to make room: bits 0..23 the backend, 24..63 the upper bits of the key's
/// hash. With it a flow that comes back to another backend is known, and counted as a misroute.
inline constexpr u32 ghosts_per_line = 8;
struct alignas(64) GhostLine {
  u64 ghost[ghosts_per_line];
};
LB_INLINE constexpr u64 ghost_of(u64 hash, u32 backend) { return (hash & ~u64{backend_id_mask}) | backend; }
LB_INLINE constexpr bool is_ghost_of(u64 ghost, u64 hash) {
  return ((ghost ^ hash) & ~u64{backend_id_mask}) == 0 && (ghost & backend_id_mask) != 0;
}

/// Numbers of records; each a power of two.
struct FlowSizes {
  u32 embryos;  // buckets of the nursery
  u32 flows;    // buckets
  u32 ghosts;   // lines
  friend constexpr bool operator==(const FlowSizes&, const FlowSizes&) = default;
};

struct alignas(64) FlowHeader {
  u64 magic;
  u32 version;
  FlowSizes sizes;
  u32 still_tick;  // the time, where an engine is told that its clock stands still; for tests
  u32 reserved[9];
};
static_assert(sizeof(FlowHeader) == 64);

/// Where each part stands, in bytes from the start.
struct FlowOffsets {
  u64 embryos;
  u64 flows;
  u64 ghosts;
  u64 end;
};
LB_INLINE constexpr FlowOffsets flow_offsets_of(const FlowSizes& sizes) {
  FlowOffsets at{};
  at.embryos = 128;  // the header, rounded up to a bucket's alignment
  at.flows = at.embryos + sizeof(FlowBucket) * sizes.embryos;
  at.ghosts = at.flows + sizeof(FlowBucket) * sizes.flows;
  at.end = at.ghosts + sizeof(GhostLine) * sizes.ghosts;
  return at;
}

// The bits of a key's hash that choose a bucket in each part. A flow has two buckets: it is put into the second when
// the first is full.
LB_INLINE constexpr u32 embryo_bucket(u64 hash, const FlowSizes& sizes) {
  return static_cast<u32>(hash >> 32) & (sizes.embryos - 1);
}
LB_INLINE constexpr u32 first_bucket(u64 hash, const FlowSizes& sizes) {
  return static_cast<u32>(hash >> 32) & (sizes.flows - 1);
}
LB_INLINE constexpr u32 second_bucket(u64 hash, const FlowSizes& sizes) {
  return static_cast<u32>((hash * 0x9e37'79b9'7f4a'7c15ULL) >> 32) & (sizes.flows - 1);
}
LB_INLINE constexpr u32 ghost_line(u64 hash, const FlowSizes& sizes) {
  return static_cast<u32>((hash * 0xc2b2'ae3d'27d4'eb4fULL) >> 32) & (sizes.ghosts - 1);
}

/// Counters of one service's flows on one CPU.
struct FlowCounters {
  u64 hits;                 // packets that found their flow
  u64 remembered;           // flows entered into the nursery
  u64 promoted;             // flows that sent a second packet
  u64 reselected;           // flows that were given another backend: theirs was gone, or took no more of them
  u64 expired;              // flows that the fast path found too old to count
  u64 evicted_embryo;       // made room for another: known by one packet
  u64 evicted_established;  // TCP, known by more
  u64 evicted_udp;          // UDP, known by more
  u64 misroutes;            // established, evicted, and back on another backend
  u64 resets;               // RSTs sent to clients
  u64 reserved[2];
};

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The layout of the tables: the one interface between control plane and fast path. It lives in memory that both touch,
// so every word that may change under a reader is aligned and is loaded and stored once. Any change of this file's
// layout raises `layout_version`.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

inline constexpr u64 layout_magic = 0x0031'7269'6557'4c42ULL;  // "BLWeir1" in memory order
#ifdef WEIR_TEST_FORMER_LAYOUT
// Tests upgrade from a program whose records are of another length; see tests/upgrade.
inline constexpr u32 layout_version = 2;
#else
inline constexpr u32 layout_version = 3;
#endif

/// One load, one store: neither torn nor merged by the compiler.
template <class T>
LB_INLINE T load_once(const T& word) {
  return *static_cast<const volatile T*>(&word);
}
template <class T>
LB_INLINE void store_once(T& word, T value) {
  *static_cast<volatile T*>(&word) = value;
}

// All tables stand in one piece of memory, the image: globals, ports, filter, buckets, slots, services, backends, rows,
// in this order, each at a multiple of 64 bytes. An engine finds all of it behind one pointer.

/// How many records each table holds. Ids start at 1, so `services` and `backends` are one more than can be used.
struct TableSizes {
  u32 filter;   // words of 64 bits; a power of two
  u32 buckets;  // a power of two
  u32 slots;    // a power of two
  u32 services;
  u32 backends;
  u32 rows;
  friend constexpr bool operator==(const TableSizes&, const TableSizes&) = default;
};

/// Keys of the flow hash, derived from the cluster's seed.
struct FlowKeys {
  u32 add[12];   // NH's additive keys, one per 32-bit word of input
  u64 multiply;  // odd
};

/// Where the outer headers of tunnels get their addresses. The flow's hash fills the bits that a mask has set, so that
/// the backends' NICs spread flows over their queues. All in network byte order.
struct alignas(64) Tunnel {
  Ip source6;   // the prefix; bits under `spread6` of its last word are zero
  u32 spread6;  // over the last word of the IPv6 address
  u32 source4;  // the prefix; bits under `spread4` are zero
  u32 spread4;
  Be16 gue_port;  // UDP destination port of mode gue
  u16 reserved;
  u32 reserved1[8];
};
static_assert(sizeof(Tunnel) == 64);

/// The only record of its table. Written before the first packet and, but for `tunnel`, `tunnels` and `icmp_rate`,
/// never while packets flow.
struct alignas(64) Globals {
  u64 magic;
  u32 version;
  u32 bucket_shift;  // index bucket of a hash: hash >> bucket_shift
  u32 slot_shift;    // index slot: (hash * displacement of the bucket) >> slot_shift
  u32 filter_shift;  // filter bit of an address: see address_bit
  FlowKeys keys;
  TableSizes sizes;
  u32 icmp_rate;      // ICMP messages that Weir itself sends, per second and CPU; 0: none
  u32 tunnel;         // which of `tunnels` holds: the other one is written, then this word
  u32 service_bytes;  // of one record, for a program of another layout that takes the tables over
  u32 backend_bytes;
  u32 reserved[2];
  Tunnel tunnels[2];
};
static_assert(sizeof(Globals) == 256);

// --- The index: which service is (address, port, protocol)? ---------------------------------------------------------
// Two-level perfect hashing by displacement (Czech, Havas, Majewski 1992; Belazzougui, Botelho, Dietzfelbinger 2009):
// the control plane chooses one odd multiplier per bucket so that every key has a slot of its own, so a look-up is one
// load of the multiplier and one of the slot, hit or miss. Moving a bucket's keys is: copy them to their new slots,
// store the multiplier, and clear the old slots once no reader can be on its way to them; a reader finds the key at
// every moment.

// A port of 0 in a key stands for every port that has no key of its own.

enum class KeyKind : u8 {
  service = 1,   // (VIP, port, protocol)          -> service id
  answer = 2,    // (backend, port, protocol), nat -> backend id: whose source is to be mapped back
  vip = 3,       // (VIP, 0, 0)                    -> VipState: the address is a VIP of ours at all
  fragment = 4,  // (VIP, 0, protocol)             -> service id: the only service there, and it hashes on the source
  answer_fragment = 5,  // (backend, 0, protocol), nat    -> backend id: the only nat backend there, of such a service
};

/// What becomes of packets to a VIP that no service takes.
enum class VipState : u32 { foreign = 1, local = 2 };  // local: also an address of this host; the kernel answers

/// The small part of a key. Never 0: 0 marks an empty slot.
LB_INLINE constexpr u32 key_word(KeyKind kind, u8 protocol, Be16 port) {
  return static_cast<u32>(kind) << 24 | static_cast<u32>(protocol) << 16 | port.raw;
}

struct alignas(32) IndexSlot {
  u64 word;  // key_word in the low half, value in the high half; written last, cleared first
  Ip address;
  u64 reserved;
};
static_assert(sizeof(IndexSlot) == 32);

inline constexpr u64 first_displacement = 1;  // of a bucket that has never had to move

// --- Services, rows, backends, ports --------------------------------------------------------------------------------

inline constexpr u32 nobody = 0;  // backend id 0 is never given out: rows of zeroes have no owner

/// A service. `table` changes in one store; the rest is written before the index names the service.
struct alignas(64) Service {
  u64 table;  // bits 0..31 first row, 32..39 log2 of rows, 40..46 HashOn, 47 track all, 48..63 greatest MSS or 0
  Ip vip;
  Be16 port;
  Protocol protocol;
  Mode mode;
  u32 in_use;    // 1 while the control plane holds the record, so that a restarted daemon can take it over
  u64 timeouts;  // of remembered flows, in ticks: bits 0..31 idle, 32..63 idle after a FIN or RST
  u64 reserved[3];
};
static_assert(sizeof(Service) == 64);

LB_INLINE constexpr u64 timeouts_word(u32 idle, u32 closing) { return u64{idle} | u64{closing} << 32; }
LB_INLINE constexpr u32 timeout_idle(u64 timeouts) { return static_cast<u32>(timeouts); }
LB_INLINE constexpr u32 timeout_closing(u64 timeouts) { return static_cast<u32>(timeouts >> 32); }

inline constexpr u64 table_track_all = u64{1} << 47;

LB_INLINE constexpr u64 table_word(u32 first_row, u32 log2_rows, HashOn hash, u16 mss = 0, bool track_all = false) {
  return u64{first_row} | u64{log2_rows} << 32 | static_cast<u64>(hash) << 40 | (track_all ? table_track_all : 0) |
         u64{mss} << 48;
}
LB_INLINE constexpr u32 table_first_row(u64 table) { return static_cast<u32>(table); }
LB_INLINE constexpr u32 table_log2_rows(u64 table) { return static_cast<u32>(table >> 32) & 0x1f; }
LB_INLINE constexpr HashOn table_hash(u64 table) { return static_cast<HashOn>(table >> 40 & 0x7f); }
/// The greatest MSS that the service lets a SYN announce, in bytes; 0: whatever it says.
LB_INLINE constexpr u16 table_mss(u64 table) { return static_cast<u16>(table >> 48); }

/// What a row's owners mean to a packet. settled: the owner takes every packet, and the flow table is not looked at.
/// moving: the owner takes SYNs, which are remembered; other packets go where their flow is remembered, else to the
/// stable owner, and are remembered. pinned: unknown flows are the owner's, and none is remembered any more.
enum class RowState : u8 { settled = 0, moving = 1, pinned = 2 };

/// A row of a forwarding table: bits 0..23 the backend that owns it now, 24..47 the stable owner, 48..55 the state.
using Row = u64;
inline constexpr u32 backend_id_bits = 24;
inline constexpr u32 backend_id_mask = (1U << backend_id_bits) - 1;

LB_INLINE constexpr Row settled_row(u32 backend) { return u64{backend} | u64{backend} << backend_id_bits; }
LB_INLINE constexpr Row make_row(RowState state, u32 owner, u32 stable) {
  return u64{owner} | u64{stable} << backend_id_bits | u64{static_cast<u8>(state)} << (2 * backend_id_bits);
}
LB_INLINE constexpr u32 row_owner(Row row) { return static_cast<u32>(row) & backend_id_mask; }
LB_INLINE constexpr u32 row_stable(Row row) { return static_cast<u32>(row >> backend_id_bits) & backend_id_mask; }
LB_INLINE constexpr RowState row_state(Row row) { return static_cast<RowState>(row >> (2 * backend_id_bits) & 0xff); }

/// What a backend does for flows. open: takes new ones. draining: keeps those it has. dead: its flows pick anew.
/// resetting: its flows are ended with a RST.
enum class BackendState : u32 { open = 0, draining = 1, dead = 2, resetting = 3 };

/// A backend: one cache line. `hop`, `mtu` and `state` change by themselves in one store each; the rest stands still
/// while a row, an index slot or a flow names the backend.
struct alignas(64) Backend {
  u64 hop;  // bits 0..47 next hop's MAC, 48..57 egress port, bit 63 resolved; 0: no known next hop
  Ip address;
  Be16 port;
  Protocol protocol;
  Mode mode;
  u32 service;
  u32 address_delta;    // nat: what VIP -> backend adds to the IPv4 header checksum's sum
  u32 transport_delta;  // nat: the same for the TCP/UDP checksum, ports included
  u32 in_use;           // as in Service; 2: held for its flows alone, the operator has removed it
  u32 mtu;              // longest IP datagram that reaches the backend, in bytes, its outer headers already taken off
  u32 state;            // BackendState
  u32 reserved0;
  u64 reserved[1];
#ifdef WEIR_TEST_FORMER_LAYOUT
  u64 former[8];
#endif
};
static_assert(sizeof(Backend) % 64 == 0);

// Outer headers of the tunnel modes, in bytes.
inline constexpr u32 outer4_length = 20;
inline constexpr u32 outer6_length = 40;
inline constexpr u32 gue_length = 8 + 4;  // UDP, GUE

/// What `mode` adds in front of a datagram on its way to a backend of the given family.
LB_INLINE constexpr u32 outer_length(Mode mode, bool backend_v4) {
  if (!is_tunnel(mode)) return 0;
  return (backend_v4 ? outer4_length : outer6_length) + (mode == Mode::gue ? gue_length : 0);
}

inline constexpr u32 port_index_bits = 10;
inline constexpr u32 port_count = 1U << port_index_bits;
inline constexpr u64 hop_resolved = u64{1} << 63;

LB_INLINE constexpr u64 hop_word(MacBits mac, u32 port) { return (mac & mac_mask) | u64{port} << 48 | hop_resolved; }
LB_INLINE constexpr MacBits hop_mac(u64 hop) { return hop & mac_mask; }
LB_INLINE constexpr u32 hop_port(u64 hop) { return static_cast<u32>(hop >> 48) & (port_count - 1); }

/// An interface that the program is attached to, at index `ifindex % port_count`.
struct alignas(16) Port {
  u64 mac;
  u32 ifindex;  // 0: nobody here
  u32 reserved;
};
static_assert(sizeof(Port) == 16);

/// The tunnel settings that hold now.
LB_INLINE const Tunnel& present_tunnel(const Globals& globals) {
  return globals.tunnels[load_once(globals.tunnel) & 1];
}

LB_INLINE constexpr u32 port_index(u32 ifindex) { return ifindex & (port_count - 1); }

/// Where each table stands in the image, in bytes from its start, and how long the image is.
struct TableOffsets {
  u64 ports;
  u64 filter;
  u64 buckets;
  u64 slots;
  u64 services;
  u64 backends;
  u64 rows;
  u64 end;
};

LB_INLINE constexpr TableOffsets offsets_of(const TableSizes& sizes) {
  TableOffsets at{};
  at.ports = sizeof(Globals);
  at.filter = at.ports + sizeof(Port) * port_count;
  at.buckets = at.filter + sizeof(u64) * sizes.filter;
  at.slots = at.buckets + sizeof(u64) * sizes.buckets;
  at.services = at.slots + sizeof(IndexSlot) * sizes.slots;
  at.backends = at.services + sizeof(Service) * sizes.services;
  at.rows = at.backends + sizeof(Backend) * sizes.backends;
  at.end = at.rows + sizeof(Row) * sizes.rows;
  return at;
}

/// Counters of one service or one backend on one CPU. Bytes are frame bytes without padding and FCS.
struct Counters {
  u64 packets;  // client to backend
  u64 bytes;
  u64 return_packets;  // backend to client, mode nat
  u64 return_bytes;
  u64 connections;  // TCP SYN, client to backend
};

/// Counters of one verdict on one CPU.
struct VerdictCounters {
  u64 packets;
  u64 bytes;
};

}  // namespace weir

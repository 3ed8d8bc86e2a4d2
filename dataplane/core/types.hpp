// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Fixed-width integers, byte-order types and addresses: the vocabulary of everything that touches packets.
// Freestanding: compiled by g++, by clang++ and by clang++ -target bpf, so nothing is included here.
#pragma once

namespace weir {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
static_assert(sizeof(u8) == 1 && sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Weir runs on little-endian hosts");

/// Every function of the core is inlined: BTF of a non-inlined C++ function that takes a reference is refused by the
/// kernel (clang 14..19, kernel 6.18), and the fast path has no call to spare.
#define LB_INLINE [[gnu::always_inline]] inline

// What a header's multi-byte fields may be aligned to. Frames start anywhere, so the host must assume 2 bytes (UBSan
// would be right to complain otherwise). The BPF back end splits every load that it believes to be misaligned into
// single bytes; Weir's targets do unaligned loads in hardware and the verifier accepts them there.
#ifdef __bpf__
#define LB_WIRE(natural) [[gnu::packed, gnu::aligned(natural)]]
#else
#define LB_WIRE(natural) [[gnu::packed, gnu::aligned(2)]]
#endif

/// A 16-bit value in network byte order. No arithmetic: convert first.
struct [[gnu::packed, gnu::aligned(2)]] Be16 {
  u16 raw;
  friend constexpr bool operator==(Be16 a, Be16 b) { return a.raw == b.raw; }
};

/// A 32-bit value in network byte order. No arithmetic: convert first.
struct LB_WIRE(4) Be32 {
  u32 raw;
  friend constexpr bool operator==(Be32 a, Be32 b) { return a.raw == b.raw; }
};

/// Eight and four bytes of a frame in memory order, for whole-word stores.
struct LB_WIRE(8) WireWord64 {
  u64 raw;
};
struct LB_WIRE(4) WireWord32 {
  u32 raw;
};

LB_INLINE constexpr Be16 to_be(u16 host) { return {__builtin_bswap16(host)}; }
LB_INLINE constexpr Be32 to_be(u32 host) { return {__builtin_bswap32(host)}; }
LB_INLINE constexpr u16 to_host(Be16 wire) { return __builtin_bswap16(wire.raw); }
LB_INLINE constexpr u32 to_host(Be32 wire) { return __builtin_bswap32(wire.raw); }

/// An IPv4 or IPv6 address, 16 bytes in network order. IPv4 is held as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that one
/// type, one key and one comparison serve both families.
struct Ip {
  u32 word[4];  // network byte order

  friend constexpr bool operator==(const Ip& a, const Ip& b) {
    return a.word[0] == b.word[0] && a.word[1] == b.word[1] && a.word[2] == b.word[2] && a.word[3] == b.word[3];
  }
};
static_assert(sizeof(Ip) == 16);

inline constexpr u32 v4_mapped_prefix = __builtin_bswap32(0x0000ffff);

LB_INLINE constexpr Ip ip_from_v4(Be32 address) { return {{0, 0, v4_mapped_prefix, address.raw}}; }
LB_INLINE constexpr bool is_v4(const Ip& ip) {
  return ip.word[0] == 0 && ip.word[1] == 0 && ip.word[2] == v4_mapped_prefix;
}

/// A MAC address in the low 48 bits: byte 0 of the address in bits 0..7, as a little-endian load of 8 bytes yields it.
using MacBits = u64;
inline constexpr u64 mac_mask = 0x0000'ffff'ffff'ffffULL;

/// Layer-4 protocols that Weir balances (IANA protocol numbers).
enum class Protocol : u8 { tcp = 6, udp = 17 };

/// How a packet reaches its backend; see the words in the README.
enum class Mode : u8 { nat = 1, l2dsr = 2, ipip = 3, gue = 4 };

/// Whether the mode wraps packets in an outer IP header.
LB_INLINE constexpr bool is_tunnel(Mode mode) { return mode == Mode::ipip || mode == Mode::gue; }

/// Which part of the flow the hash covers: the whole 5-tuple, or the client's address alone (affinity).
enum class HashOn : u8 { five_tuple = 1, source = 2 };

/// An operator's intent for a backend. `draining` takes no new flows; `maint` takes no traffic.
enum class Admin : u8 { active = 1, draining = 2, maint = 3 };

}  // namespace weir

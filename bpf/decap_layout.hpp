// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the decapsulation program and its loader share: every way out of the program, one row each, and the keys of its
// maps. Counters, the texts of lb-decap and the tests derive from the table.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir::bpf {

/// What the program does with the frame.
enum class DecapAction : u8 {
  pass,    ///< hand to the kernel untouched
  drop,    ///< discard
  unwrap,  ///< remove the outer headers and hand to the kernel
};

// Order is the counters' index: append, never reorder. "Expected" tells whether a healthy backend sees the verdict in
// ordinary operation.
// clang-format off
//         name                action  expected  meaning
#define LB_DECAP_VERDICTS(ROW)                                                                                        \
  ROW(unwrapped_ipip,      unwrap, true,  "IP in IP: outer header removed")                                           \
  ROW(unwrapped_gue,       unwrap, true,  "GUE: outer IP, UDP and GUE headers removed")                               \
  ROW(not_ip,              pass,   true,  "neither IPv4 nor IPv6 (ARP, LLDP, ...)")                                   \
  ROW(not_unicast,         pass,   true,  "destination MAC is multicast or broadcast")                                \
  ROW(short_header,        pass,   false, "frame ends before the end of its IP header")                               \
  ROW(not_own,             pass,   true,  "destination is none of the tunnel end's own addresses")                    \
  ROW(not_tunnel,          pass,   true,  "to an own address, but no tunnel packet")                                  \
  ROW(source_refused,      drop,   false, "a tunnel packet from a source that is not allowed")                        \
  ROW(bad_outer_header,    drop,   false, "outer IP header with a wrong version, header or total length")             \
  ROW(bad_outer_checksum,  drop,   false, "outer IPv4 header with a wrong checksum")                                  \
  ROW(outer_fragment,      drop,   false, "a fragment of a tunnel packet: only the kernel could reassemble it")       \
  ROW(truncated,           drop,   false, "frame ends before the end of its headers or of the outer datagram")        \
  ROW(bad_udp_length,      drop,   false, "GUE: UDP length outside the datagram, or no room for a GUE header")        \
  ROW(gue_unsupported,     drop,   false, "GUE: unknown variant, control, options, or content that is not IP")        \
  ROW(bad_inner_header,    drop,   false, "inner packet is not the IP version announced, or its lengths do not fit")  \
  ROW(ecn_conflict,        drop,   false, "outer header CE, inner packet not ECN-capable (RFC 6040, 4.2)")            \
  ROW(internal_move,       drop,   false, "the kernel refused to move the start of the frame")
// clang-format on

#define LB_DECAP_ENUM(name, action, expected, meaning) name,
enum class DecapVerdict : u8 { LB_DECAP_VERDICTS(LB_DECAP_ENUM) };
#undef LB_DECAP_ENUM

#define LB_DECAP_COUNT(name, action, expected, meaning) +1
inline constexpr u32 decap_verdict_count = 0 LB_DECAP_VERDICTS(LB_DECAP_COUNT);
#undef LB_DECAP_COUNT

/// One row of the table, for programs that print it.
struct DecapVerdictInfo {
  const char* name;
  DecapAction action;
  bool expected;
  const char* meaning;
};

#define LB_DECAP_INFO(name, action, expected, meaning) {#name, DecapAction::action, expected, meaning},
inline constexpr DecapVerdictInfo decap_verdict_table[] = {LB_DECAP_VERDICTS(LB_DECAP_INFO)};
#undef LB_DECAP_INFO

/// What the program does on `verdict`. A switch over constants, not a look-up: BPF needs no data section for it.
LB_INLINE constexpr DecapAction decap_action_of(DecapVerdict verdict) {
  switch (verdict) {
#define LB_DECAP_CASE(name, action, expected, meaning) \
  case DecapVerdict::name:                             \
    return DecapAction::action;
    LB_DECAP_VERDICTS(LB_DECAP_CASE)
#undef LB_DECAP_CASE
  }
  return DecapAction::drop;
}

/// An address on the outside of a tunnel. The family stands in front of it: ::/0 holds no IPv4 address, and an IPv6
/// header with ::ffff:192.0.2.1 in it names no IPv4 host.
struct OuterAddress {
  u32 family;  ///< 4 or 6, in network byte order so that it may be part of a prefix
  Ip ip;
};
static_assert(sizeof(OuterAddress) == 20);
inline constexpr u32 outer_family4 = __builtin_bswap32(4);
inline constexpr u32 outer_family6 = __builtin_bswap32(6);

/// Key of the prefix map: the family and the first bits of the address, `bits` of them in all.
struct OuterPrefix {
  u32 bits;
  OuterAddress address;
};
static_assert(sizeof(OuterPrefix) == 24);
inline constexpr u32 outer_bits = 8 * sizeof(OuterAddress);

/// The one element of the settings map.
struct DecapConstants {
  Be16 gue_port;
  u16 reserved[3];
};
static_assert(sizeof(DecapConstants) == 8);

}  // namespace weir::bpf

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What lbgen's counting program and its loader share.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir::bpf {

/// What a frame is counted under. All zero: no IP, or cut inside its IP header.
struct CountKey {
  u8 family;    ///< 4, 6, or 0
  u8 protocol;  ///< IANA number; of IPv6 that of the first header after the IPv6 header
  u8 flags;     ///< TCP's, else 0
  u8 reserved;
  u16 port;  ///< destination, host order; 0: neither TCP nor UDP, a later fragment, or cut before it
  u16 reserved2;
};
static_assert(sizeof(CountKey) == 8);

struct CountRow {
  u64 packets;
  u64 bytes;  ///< Ethernet header included, checksum not
};

/// Rows that the table holds; what comes beyond is counted in `CountTotal::unlisted`.
inline constexpr u32 count_rows = 4096;

/// Per CPU.
struct CountTotal {
  u64 packets;  ///< TCP and UDP
  u64 bytes;
  u64 others;    ///< what is neither, in packets
  u64 unlisted;  ///< packets that found no row
  u64 first;     ///< CLOCK_MONOTONIC of the first TCP or UDP packet to the timer's tick, nanoseconds; 0: none yet
  u64 last;
};
static_assert(sizeof(CountTotal) == 48);

}  // namespace weir::bpf

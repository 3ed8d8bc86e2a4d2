// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Clamping of the maximum segment size that a SYN offers (RFC 9293, 3.7.1).
#pragma once

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

namespace tcp_option {
inline constexpr u8 end = 0;
inline constexpr u8 no_operation = 1;
inline constexpr u8 maximum_segment_size = 2;
}  // namespace tcp_option

/// A 16-bit value that starts anywhere.
struct OptionValue {
  u8 byte[2];
};

/// Lowers the MSS option of the TCP header at `transport` to `mss` bytes and mends the checksum. A header without the
/// option, or with options that do not parse, stays as it is: without one the receiver assumes 536 or 1220 bytes.
template <class F>
LB_INLINE void clamp_mss(const F& frame, u32 transport, u16 mss) {
  const auto* tcp = header_at<Tcp>(frame, transport);
  if (!tcp) return;
  const u32 end = (tcp->data_offset >> 4) * 4U;
  u32 at = sizeof(Tcp);
  for (u32 i = 0; i < 40; ++i) {
    at = frame.forget(at) & 0x3f;
    if (at + 4 > end) return;  // no room left for the option
    const auto* kind = header_at<u8>(frame, transport + at);
    if (!kind || *kind == tcp_option::end) return;
    if (*kind == tcp_option::no_operation) {
      ++at;
      continue;
    }
    const auto* length = header_at<u8>(frame, transport + at + 1);
    if (!length || *length < 2) return;
    if (*kind != tcp_option::maximum_segment_size) {
      at += *length;
      if (at > 60) return;
      continue;
    }
    auto* value = header_at<OptionValue>(frame, transport + at + 2);
    if (*length != 4 || !value) return;
    const u16 offered = static_cast<u16>(u32{value->byte[0]} << 8 | value->byte[1]);
    if (offered <= mss) return;
    *value = {{static_cast<u8>(mss >> 8), static_cast<u8>(mss)}};
    auto* header = header_at<Tcp>(frame, transport);
    if (!header) return;
    // The option may lie across two words of the sum; a swap of bytes swaps the sum's bytes (RFC 1071, 2B).
    const u16 delta = replace_delta(offered, mss);
    const u16 lying = (at & 1) ? delta : __builtin_bswap16(delta);
    header->checksum = update_checksum(header->checksum, lying);
    return;
  }
}

}  // namespace weir

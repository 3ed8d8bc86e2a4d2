// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The inside of a tunnel packet: whether a whole IP packet is there, and what congestion mark it takes along.
#pragma once

#include "bpf/decap_outer.bpf.hpp"

namespace weir::bpf {

namespace ecn {
inline constexpr u32 not_capable = 0, ect1 = 1, ect0 = 2, ce = 3;
inline constexpr u32 conflict = 4;  // no mark: the packet is to be dropped

/// The mark of the packet that comes out of the tunnel (RFC 6040, 4.2, figure 4).
LB_INLINE constexpr u32 combine(u32 inner, u32 outer) {
  if (outer == ce) return inner == not_capable ? conflict : ce;
  if (outer == ect1 && inner == ect0) return ect1;
  return inner;
}
static_assert(combine(not_capable, ce) == conflict && combine(ect1, ce) == ce && combine(ce, ect1) == ce);
static_assert(combine(ect0, ect1) == ect1 && combine(ect1, ect0) == ect1 && combine(not_capable, ect1) == not_capable);
}  // namespace ecn

/// Checks the inner IPv4 header against the room it has, and marks it. Its checksum stays right or wrong as it was.
template <class F>
LB_INLINE DecapVerdict enter4(const F& frame, const Outer& outer, DecapVerdict kind) {
  if (outer.transport + sizeof(Ipv4) > outer.end) return DecapVerdict::bad_inner_header;
  auto* ip = header_at<Ipv4>(frame, outer.transport);
  if (!ip) return DecapVerdict::truncated;
  const u32 header = (ip->version_ihl & 0x0fU) * 4U;
  const u32 total = to_host(ip->total_length);
  if (ip->version_ihl >> 4 != 4 || header < sizeof(Ipv4) || total < header || outer.transport + total > outer.end)
    return DecapVerdict::bad_inner_header;
  const u32 mark = ecn::combine(ip->tos & 3U, outer.ecn);
  if (mark == ecn::conflict) return DecapVerdict::ecn_conflict;
  const u32 tos = (ip->tos & 0xfcU) | mark;
  if (tos != ip->tos) {
    // The TOS is the second byte of its word: the upper one in memory order.
    ip->checksum = update_checksum(ip->checksum, replace_delta(u32{ip->tos} << 8, tos << 8));
    ip->tos = static_cast<u8>(tos);
  }
  return kind;
}

/// The same for IPv6, which has no checksum.
template <class F>
LB_INLINE DecapVerdict enter6(const F& frame, const Outer& outer, DecapVerdict kind) {
  if (outer.transport + sizeof(Ipv6) > outer.end) return DecapVerdict::bad_inner_header;
  auto* ip = header_at<Ipv6>(frame, outer.transport);
  if (!ip) return DecapVerdict::truncated;
  const u32 first = to_host(ip->version_class_label);
  if (first >> 28 != 6 || outer.transport + sizeof(Ipv6) + to_host(ip->payload_length) > outer.end)
    return DecapVerdict::bad_inner_header;
  const u32 mark = ecn::combine(first >> 20 & 3, outer.ecn);
  if (mark == ecn::conflict) return DecapVerdict::ecn_conflict;
  ip->version_class_label = to_be((first & ~(3U << 20)) | mark << 20);
  return kind;
}

}  // namespace weir::bpf

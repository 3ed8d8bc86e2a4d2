// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The outside of a tunnel packet: whether it is one, whether it may come in, and where the inner packet lies.
#pragma once

#include "bpf/decap_layout.hpp"
#include "dataplane/core/checksum.hpp"
#include "dataplane/core/parse.hpp"

namespace weir::bpf {

LB_INLINE constexpr bool is_carrier(u8 protocol) {
  return protocol == ip_protocol::ipv4 || protocol == ip_protocol::ipv6 || protocol == ip_protocol::udp;
}

/// What there is to know of the outer headers. Offsets in bytes from the start of the frame.
struct Outer {
  OuterAddress source{};
  u32 network = 0;    // the outer IP header
  u32 transport = 0;  // what follows it; then, once unwrapped, the inner packet
  u32 end = 0;        // of the outer datagram; then of the room that the inner packet may take
  u8 protocol = 0;    // what is at `transport`
  u8 ecn = 0;
  Piece piece = Piece::whole;
  bool wrong_checksum = false;
};

/// An answer, or `go_on`: the stage found nothing to object to.
struct Stage {
  bool done;
  DecapVerdict verdict;
};
inline constexpr Stage go_on{false, DecapVerdict::internal_move};
LB_INLINE constexpr Stage end_with(DecapVerdict verdict) { return {true, verdict}; }

/// Whether the sum over the IPv4 header is not all ones (RFC 1071); `options` is a multiple of 4, at most 40.
template <class F>
LB_INLINE bool wrong_checksum(const F& frame, u32 network, u32 options) {
  u32 sum = 0;
  for (u32 i = 0; i < 15; ++i) {
    if (i * 4 >= sizeof(Ipv4) + options) break;
    const auto* word = header_at<Be32>(frame, network + i * 4);
    if (!word) return true;
    sum += sum_of(*word);
  }
  return fold(sum) != 0xffff;
}

/// IPv4, RFC 791.
template <class F, class S>
LB_INLINE Stage read_outer4(const F& frame, const S& settings, Outer& outer) {
  const auto* ip = header_at<Ipv4>(frame, outer.network);
  if (!ip) return end_with(DecapVerdict::short_header);
  if (!settings.is_own({outer_family4, ip_from_v4(ip->destination)})) return end_with(DecapVerdict::not_own);
  if (!is_carrier(ip->protocol)) return end_with(DecapVerdict::not_tunnel);
  // Below 20 bytes the difference wraps and is refused by the same comparison.
  const u32 options = (ip->version_ihl & 0x0fU) * 4U - static_cast<u32>(sizeof(Ipv4));
  const u32 total = to_host(ip->total_length);
  if (ip->version_ihl >> 4 != 4 || options > 40 || total < sizeof(Ipv4) + options)
    return end_with(DecapVerdict::bad_outer_header);
  const u32 fragment = to_host(ip->fragment);
  outer.source = {outer_family4, ip_from_v4(ip->source)};
  outer.protocol = ip->protocol;
  outer.ecn = ip->tos & 3;
  outer.transport = outer.network + static_cast<u32>(sizeof(Ipv4)) + options;
  outer.end = outer.network + total;
  if (fragment & (ipv4_more_fragments | ipv4_fragment_offset))
    outer.piece = fragment & ipv4_fragment_offset ? Piece::later : Piece::first;
  outer.wrong_checksum = wrong_checksum(frame, outer.network, options);
  return go_on;
}

/// IPv6, RFC 8200. Extension headers are walked over: Linux puts a tunnel encapsulation limit (RFC 2473, 4.1.1) there.
template <class F, class S>
LB_INLINE Stage read_outer6(const F& frame, const S& settings, Outer& outer) {
  const auto* ip = header_at<Ipv6>(frame, outer.network);
  if (!ip) return end_with(DecapVerdict::short_header);
  OuterAddress destination{outer_family6, {}};
  outer.source.family = outer_family6;
  for (u32 i = 0; i < 4; ++i) {
    destination.ip.word[i] = ip->destination[i].raw;
    outer.source.ip.word[i] = ip->source[i].raw;
  }
  if (!settings.is_own(destination)) return end_with(DecapVerdict::not_own);
  const u32 first = to_host(ip->version_class_label);
  outer.protocol = ip->next_header;
  outer.ecn = first >> 20 & 3;
  outer.transport = outer.network + static_cast<u32>(sizeof(Ipv6));
  outer.end = outer.transport + to_host(ip->payload_length);
  if (is_extension(outer.protocol)) {
    const Walk walk = walk_extensions(frame, outer.protocol, outer.transport, outer.end);
    if (walk.parsed.kind == Kind::none) return end_with(DecapVerdict::not_tunnel);
    outer.protocol = walk.next;
    outer.piece = walk.piece;
    outer.transport = frame.forget(walk.at) & transport_mask;
  }
  if (!is_carrier(outer.protocol)) return end_with(DecapVerdict::not_tunnel);
  return first >> 28 == 6 ? go_on : end_with(DecapVerdict::bad_outer_header);
}

/// Takes the UDP header with its `length` and the GUE header off `outer`. The UDP checksum is not looked at: Weir sends
/// none (RFC 6935), and the inner packet brings its own.
template <class F>
LB_INLINE Stage read_gue(const F& frame, u32 length, Outer& outer) {
  if (length < sizeof(Udp) + sizeof(Gue) || outer.transport + length > outer.end)
    return end_with(DecapVerdict::bad_udp_length);
  outer.end = outer.transport + length;
  outer.transport += static_cast<u32>(sizeof(Udp));
  const auto* gue = header_at<Gue>(frame, outer.transport);
  if (!gue) return end_with(DecapVerdict::truncated);
  const u8 first = gue->control;
  if (first >> 6 == 1) {  // variant 1 has no header: these are the first bits of an IP header
    if (first >> 4 != 4 && first >> 4 != 6) return end_with(DecapVerdict::gue_unsupported);
    outer.protocol = first >> 4 == 4 ? ip_protocol::ipv4 : ip_protocol::ipv6;
    return go_on;
  }
  // Variant 0, no control message, no optional fields, so neither flags nor private data.
  if (first != 0 || gue->flags.raw != 0) return end_with(DecapVerdict::gue_unsupported);
  if (gue->protocol != ip_protocol::ipv4 && gue->protocol != ip_protocol::ipv6)
    return end_with(DecapVerdict::gue_unsupported);
  outer.protocol = gue->protocol;
  outer.transport += static_cast<u32>(sizeof(Gue));
  return go_on;
}

/// What the two families have in common. On `go_on` the inner packet of protocol `outer.protocol` starts at
/// `outer.transport`, and `kind` says what was around it.
template <class F, class S>
LB_INLINE Stage open_tunnel(const F& frame, const S& settings, Outer& outer, DecapVerdict& kind) {
  outer.transport = frame.forget(outer.transport) & transport_mask;
  const bool is_udp = outer.protocol == ip_protocol::udp;
  u32 udp_length = 0;
  if (is_udp) {
    const auto* udp = header_at<Udp>(frame, outer.transport);
    if (!udp) return end_with(DecapVerdict::not_tunnel);
    if (outer.piece == Piece::later || !(udp->destination == settings.gue_port()))
      return end_with(DecapVerdict::not_tunnel);
    udp_length = to_host(udp->length);
  }
  if (!settings.allows(outer.source)) return end_with(DecapVerdict::source_refused);
  if (frame.begin + outer.end > frame.end && outer.end > frame.length()) return end_with(DecapVerdict::truncated);
  if (outer.wrong_checksum) return end_with(DecapVerdict::bad_outer_checksum);
  if (outer.piece != Piece::whole) return end_with(DecapVerdict::outer_fragment);
  kind = is_udp ? DecapVerdict::unwrapped_gue : DecapVerdict::unwrapped_ipip;
  return is_udp ? read_gue(frame, udp_length, outer) : go_on;
}

}  // namespace weir::bpf

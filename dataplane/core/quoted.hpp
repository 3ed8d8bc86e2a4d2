// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The packet that an ICMP error quotes: of its transport header only the first eight bytes need be there (RFC 792).
#pragma once

#include "dataplane/core/parse.hpp"

namespace weir {

/// Offsets in bytes from the start of the frame.
template <class Net>
struct Quoted {
  Net net{};
  u32 network = 0;
  u32 transport = 0;
  u32 end = 0;  // of what is quoted
  u32 ports = 0;
  u8 protocol = 0;

  LB_INLINE Be16 source_port() const { return {static_cast<u16>(ports)}; }
  LB_INLINE Be16 destination_port() const { return {static_cast<u16>(ports >> 16)}; }
};

/// How reading a quote ended: it names a flow; it is one of something else; it is none.
enum class Reading : u8 { flow, other, none };

/// Ports of TCP and UDP, behind `at`.
template <class Net, class F>
LB_INLINE Reading quoted_ports(const F& frame, u32 at, Piece piece, Quoted<Net>& quoted) {
  constexpr u32 least = 8;  // bytes of the transport header
  const bool flow =
      quoted.protocol == static_cast<u8>(Protocol::tcp) || quoted.protocol == static_cast<u8>(Protocol::udp);
  if (!flow || piece == Piece::later) return Reading::other;
  if (at > transport_mask) return Reading::none;
  quoted.transport = frame.forget(at) & transport_mask;
  if (quoted.transport + least > quoted.end) return Reading::none;
  const auto* ports = header_at<Ports>(frame, quoted.transport);
  if (!ports) return Reading::none;
  quoted.ports = u32{ports->source.raw} | u32{ports->destination.raw} << 16;
  return Reading::flow;
}

template <class F>
LB_INLINE Reading parse_quoted(const F& frame, u32 at, u32 end, Quoted<V4>& quoted) {
  const auto* ip = header_at<Ipv4>(frame, at);
  if (!ip || at + sizeof(Ipv4) > end || ip->version_ihl >> 4 != 4) return Reading::none;
  const u32 options = (ip->version_ihl & 0x0fU) * 4U - static_cast<u32>(sizeof(Ipv4));
  if (options > 40) return Reading::none;
  quoted.net = {ip->source, ip->destination};
  quoted.network = at;
  quoted.end = end;
  quoted.protocol = ip->protocol;
  const Piece piece = to_host(ip->fragment) & ipv4_fragment_offset ? Piece::later : Piece::whole;
  return quoted_ports(frame, at + static_cast<u32>(sizeof(Ipv4)) + options, piece, quoted);
}

template <class F>
LB_INLINE Reading parse_quoted(const F& frame, u32 at, u32 end, Quoted<V6>& quoted) {
  const auto* ip = header_at<Ipv6>(frame, at);
  if (!ip || at + sizeof(Ipv6) > end || to_host(ip->version_class_label) >> 28 != 6) return Reading::none;
  for (u32 i = 0; i < 4; ++i) {
    quoted.net.source[i] = ip->source[i];
    quoted.net.destination[i] = ip->destination[i];
  }
  quoted.network = at;
  quoted.end = end;
  const Walk walk = walk_extensions(frame, ip->next_header, at + static_cast<u32>(sizeof(Ipv6)), end);
  if (walk.parsed.kind == Kind::none) return Reading::none;
  quoted.protocol = walk.next;
  return quoted_ports(frame, walk.at, walk.piece, quoted);
}

}  // namespace weir

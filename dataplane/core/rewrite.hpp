// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Carries out a decision on the frame's bytes: MAC addresses; in nat address, port, TTL and checksums; in the tunnel
// modes the headers in front.
#pragma once

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/decide.hpp"
#include "dataplane/core/encap.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

/// The checksum of TCP or UDP after its pseudo-header and a port changed. Over IPv4 a UDP checksum of zero means "none"
/// and stays so; a computed zero is sent as 0xffff (RFC 768).
LB_INLINE Be16 transport_checksum(Be16 checksum, u16 delta, bool udp) {
  if (udp && checksum.raw == 0) return checksum;
  const Be16 updated = update_checksum(checksum, delta);
  return udp && updated.raw == 0 ? Be16{0xffff} : updated;
}

/// Network header of nat: TTL, header checksum (IPv4), and the address that changes.
LB_INLINE void translate(Ipv4& ip, const Ip& to, u16 delta, bool forward) {
  ip.ttl = static_cast<u8>(ip.ttl - 1);
  ip.checksum = update_checksum(ip.checksum, u32{delta} + ttl_delta);
  if (forward)
    ip.destination.raw = to.word[3];
  else
    ip.source.raw = to.word[3];
}
LB_INLINE void translate(Ipv6& ip, const Ip& to, u16, bool forward) {
  ip.hop_limit = static_cast<u8>(ip.hop_limit - 1);
  for (u32 i = 0; i < 4; ++i)
    if (forward)
      ip.destination[i].raw = to.word[i];
    else
      ip.source[i].raw = to.word[i];
}

/// Transport header of nat: the port that changes (an any-port service's stays) and the checksum, which covers the
/// address as well.
template <class Header, class F, class Transmit>
LB_INLINE bool translate_transport(const F& frame, const Transmit& t, bool forward) {
  auto* header = header_at<Header>(frame, t.packet.transport);
  if (!header) return false;
  const auto delta = static_cast<u16>(forward ? t.backend.transport_delta : ~t.backend.transport_delta);
  constexpr bool udp = sizeof(Header) == sizeof(Udp);
  header->checksum = transport_checksum(header->checksum, delta, udp);
  if (t.backend.port.raw == 0) return true;
  if (forward)
    header->destination = t.backend.port;
  else
    header->source = t.service.port;
  return true;
}

/// nat in either direction; false when a header is not where the packet says.
template <class F, class Transmit>
LB_INLINE bool rewrite_nat(const F& frame, const Transmit& t) {
  constexpr bool forward = Transmit::how == How::translate;
  if (t.packet.piece != Piece::later) {
    const bool translated = t.packet.protocol == static_cast<u8>(Protocol::tcp)
                                ? translate_transport<Tcp>(frame, t, forward)
                                : translate_transport<Udp>(frame, t, forward);
    if (!translated) return false;
  }
  auto* ip = header_at<typename IpHeader<typename Transmit::Network>::Type>(frame, t.packet.network);
  if (!ip) return false;
  const auto delta = static_cast<u16>(forward ? t.backend.address_delta : ~t.backend.address_delta);
  translate(*ip, forward ? t.backend.address : t.service.vip, delta, forward);
  return true;
}

/// How many bytes of room `t` needs in front of the frame.
template <class Net, How how>
LB_INLINE u32 room_for(const Transmit<Net, how>& t) {
  if constexpr (how == How::encapsulate) return outer_length(t.service.mode, is_v4(t.backend.address));
  return 0;
}

/// Rewrites the frame for its next hop. Where `room_for` asks for room, `frame` begins with it and `room` is its length
/// in bytes. Returns the verdict to count: the transmission's, or internal_table when the frame does not hold what was
/// decided on.
template <class F, class Net, How how>
LB_INLINE Verdict rewrite(const F& frame, const Transmit<Net, how>& t, const Tunnel& tunnel, u32 room) {
  if constexpr (how == How::translate || how == How::untranslate)
    if (!rewrite_nat(frame, t)) return Verdict::internal_table;
  if constexpr (how == How::encapsulate)
    if (!encapsulate(frame, t, tunnel, room)) return Verdict::internal_table;
  return write_macs(frame, t.hop, t.egress) ? t.verdict : Verdict::internal_table;
}

}  // namespace weir

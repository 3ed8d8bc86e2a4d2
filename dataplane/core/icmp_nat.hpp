// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// ICMP errors through nat: the outer address and the quoted packet are translated alike (RFC 5508, 4.2).
#pragma once

#include "dataplane/core/quoted.hpp"
#include "dataplane/core/rewrite.hpp"

namespace weir {

/// An error message that is sent, and where it quotes what. `how` is translate (an error about what the VIP has sent,
/// on its way to the backend) or untranslate (about what a client has sent, on its way to the client).
template <class Net, How how_>
struct TransmitError : Transmit<Net, how_> {
  Quoted<Net> quoted;
};

/// The sum of the words of a packet's source address.
LB_INLINE u32 source_sum(const V4& net) { return sum_of(net.source); }
LB_INLINE u32 source_sum(const V6& net) {
  u32 sum = 0;
  for (u32 i = 0; i < 4; ++i) sum += sum_of(net.source[i]);
  return sum;
}

/// Translates the quoted IP header: what a whole packet's header would look like before it was translated. Returns what
/// that adds to the sum of the message. IPv4's own checksum takes the change back (RFC 1624).
template <class F>
LB_INLINE u32 translate_quoted(const F& frame, const Quoted<V4>& quoted, const Ip& to, u16 delta, bool source) {
  auto* ip = header_at<Ipv4>(frame, quoted.network);
  if (!ip) return 0;
  if (source)
    ip->source.raw = to.word[3];
  else
    ip->destination.raw = to.word[3];
  ip->checksum = update_checksum(ip->checksum, delta);
  return 0;
}
template <class F>
LB_INLINE u32 translate_quoted(const F& frame, const Quoted<V6>& quoted, const Ip& to, u16 delta, bool source) {
  auto* ip = header_at<Ipv6>(frame, quoted.network);
  if (!ip) return 0;
  for (u32 i = 0; i < 4; ++i)
    if (source)
      ip->source[i].raw = to.word[i];
    else
      ip->destination[i].raw = to.word[i];
  return delta;
}

/// The checksum field of the quoted transport header, or null when the quote ends before it.
template <class Net, class F>
LB_INLINE Be16* quoted_checksum(const F& frame, const Quoted<Net>& quoted) {
  const bool tcp = quoted.protocol == static_cast<u8>(Protocol::tcp);
  const u32 at = quoted.transport + (tcp ? 16 : 6);
  return at + sizeof(Be16) > quoted.end ? nullptr : header_at<Be16>(frame, at);
}

/// Rewrites outer and quoted headers and the message's checksum; MAC addresses as in rewrite().
template <class F, class Net, How how>
LB_INLINE Verdict rewrite(const F& frame, const TransmitError<Net, how>& t, const Tunnel&, u32) {
  const Quoted<Net>& quoted = t.quoted;
  constexpr bool forward = how == How::translate;
  const Ip& to = forward ? t.backend.address : t.service.vip;
  const auto address_delta = static_cast<u16>(forward ? t.backend.address_delta : ~t.backend.address_delta);
  const auto transport_delta = static_cast<u16>(forward ? t.backend.transport_delta : ~t.backend.transport_delta);
  auto* ip = header_at<typename IpHeader<Net>::Type>(frame, t.packet.network);
  auto* icmp = header_at<Icmp>(frame, t.packet.transport);
  auto* ports = header_at<Ports>(frame, quoted.transport);
  if (!ip || !icmp || !ports) return Verdict::internal_table;

  // Who sends an error may be a router on the backend's side; to the client it is the VIP that speaks.
  const u16 outer_delta = forward ? address_delta : replace_delta(source_sum(t.packet.net), word_sum(to));
  translate(*ip, to, outer_delta, forward);
  u32 sum = Net::v6 ? outer_delta : 0;  // ICMPv6 sums a pseudo-header (RFC 4443, 2.3)
  sum += translate_quoted(frame, quoted, to, address_delta, forward);
  if (t.backend.port.raw != 0) {
    const Be16 port = forward ? t.backend.port : t.service.port;
    Be16& field = forward ? ports->source : ports->destination;
    sum += replace_delta(field.raw, port.raw);
    field = port;
  }
  if (Be16* checksum = quoted_checksum(frame, quoted)) {
    const Be16 before = *checksum;
    *checksum = transport_checksum(before, transport_delta, quoted.protocol == static_cast<u8>(Protocol::udp));
    sum += replace_delta(before.raw, checksum->raw);
  }
  icmp->checksum = update_checksum(icmp->checksum, sum);
  return write_macs(frame, t.hop, t.egress) ? t.verdict : Verdict::internal_table;
}

}  // namespace weir

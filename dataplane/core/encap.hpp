// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Outer headers of the tunnel modes: IP in IP (RFC 2003, 2473, 4213) and Generic UDP Encapsulation (variant 0 of
// draft-ietf-intarea-gue-09).
#pragma once

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/decide.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

// Keeps every offset of a header in the first bytes as it is; the bound that is left to a verifier.
inline constexpr u32 outer_mask = 0x7f;
static_assert(max_network + outer6_length + gue_length <= outer_mask);

inline constexpr u8 outer_ttl = 64;  // RFC 1700's recommended default

/// The same bytes behind a pointer of which the compiler knows nothing. Clang 19 else takes an earlier, longer
/// comparison with the end for the one that is asked for, and the verifier does not follow.
template <class F>
LB_INLINE Frame forgotten(const F& frame) {
  u8* begin = frame.begin;
  asm volatile("" : "+r"(begin));
  return {begin, frame.end};
}

/// Source and destination MAC addresses; false when the frame is too short for them.
template <class F>
LB_INLINE bool write_macs(const F& given, u64 hop, const Port& egress) {
  const Frame frame = forgotten(given);
  if (frame.begin + mac_words_end > frame.end) return false;
  const MacBits source = load_once(egress.mac);
  reinterpret_cast<MacWord0*>(frame.begin)->raw = hop_mac(hop) | source << 48;
  reinterpret_cast<MacWord1*>(frame.begin + sizeof(MacWord0))->raw = static_cast<u32>(source >> 16);
  return true;
}

/// Brings the VLAN tags of a frame that has grown by `room` bytes to its new front and puts `type` behind them.
/// `network` is where the IP header starts, before as after. The MAC addresses are left to write_macs().
template <class F>
LB_INLINE bool move_link(const F& given, u32 network, u32 room, Be16 type) {
  const Frame frame = forgotten(given);
  for (u32 at = mac_words_end; at < max_network - sizeof(Be16); at += static_cast<u32>(sizeof(VlanTag))) {
    if (at + sizeof(Be16) >= network) break;
    const auto* from = header_at<WireWord32>(frame, at + room);
    auto* to = header_at<WireWord32>(frame, at);
    if (!from || !to) return false;
    u32 tag = from->raw;
    asm volatile("" : "+r"(tag));  // clang 19 makes a memmove of the loop, which BPF does not have
    to->raw = tag;
  }
  // The mask changes nothing; it keeps a verifier from taking the difference for a negative one.
  auto* to = header_at<Be16>(frame, (network - static_cast<u32>(sizeof(Be16))) & network_mask);
  if (!to) return false;
  *to = type;
  return true;
}

/// The inner header gives its traffic class (DSCP and ECN, copied as in RFC 6040's normal mode) and loses one from its
/// TTL.
LB_INLINE u8 enter(Ipv4& ip) {
  ip.ttl = static_cast<u8>(ip.ttl - 1);
  ip.checksum = update_checksum(ip.checksum, ttl_delta);
  return ip.tos;
}
LB_INLINE u8 enter(Ipv6& ip) {
  ip.hop_limit = static_cast<u8>(ip.hop_limit - 1);
  return static_cast<u8>(to_host(ip.version_class_label) >> 20);
}

/// What an outer header says. `length` is of what it carries, in bytes.
struct Outer {
  u8 traffic_class;
  u8 protocol;
  u16 length;
  u32 spread;
};

/// The sum of an IPv4 header's words in memory order, its checksum taken as zero.
LB_INLINE u32 header_sum(const Ipv4& ip) {
  return (u32{ip.version_ihl} | u32{ip.tos} << 8) + ip.total_length.raw + ip.id.raw + ip.fragment.raw +
         (u32{ip.ttl} | u32{ip.protocol} << 8) + (ip.source.raw & 0xffff) + (ip.source.raw >> 16) +
         (ip.destination.raw & 0xffff) + (ip.destination.raw >> 16);
}

/// Fills a whole IPv4 header without options: never to be fragmented, so the id says nothing (RFC 6864, 4.1).
LB_INLINE void write_ipv4(Ipv4& ip, u8 tos, u8 protocol, u16 payload, u32 source, u32 destination) {
  ip.version_ihl = 0x45;
  ip.tos = tos;
  ip.total_length = to_be(static_cast<u16>(payload + sizeof(Ipv4)));
  ip.id = Be16{0};
  ip.fragment = to_be(ipv4_dont_fragment);
  ip.ttl = outer_ttl;
  ip.protocol = protocol;
  ip.source.raw = source;
  ip.destination.raw = destination;
  ip.checksum = Be16{static_cast<u16>(~fold(header_sum(ip)))};
}

template <class F>
LB_INLINE bool write_outer4(const F& frame, u32 at, const Tunnel& tunnel, const Ip& backend, const Outer& outer) {
  auto* ip = header_at<Ipv4>(frame, at);
  if (!ip) return false;
  const u32 source = load_once(tunnel.source4) | (__builtin_bswap32(outer.spread) & load_once(tunnel.spread4));
  write_ipv4(*ip, outer.traffic_class, outer.protocol, outer.length, source, backend.word[3]);
  return true;
}

/// The flow label is the spread's, as RFC 6438 asks of tunnels.
template <class F>
LB_INLINE bool write_outer6(const F& frame, u32 at, const Tunnel& tunnel, const Ip& backend, const Outer& outer) {
  auto* ip = header_at<Ipv6>(frame, at);
  if (!ip) return false;
  ip->version_class_label = to_be(u32{6} << 28 | u32{outer.traffic_class} << 20 | outer.spread >> 12);
  ip->payload_length = to_be(outer.length);
  ip->next_header = outer.protocol;
  ip->hop_limit = outer_ttl;
  for (u32 i = 0; i < 4; ++i) {
    ip->source[i].raw = tunnel.source6.word[i];
    ip->destination[i].raw = backend.word[i];
  }
  ip->source[3].raw |= __builtin_bswap32(outer.spread) & tunnel.spread6;
  return true;
}

/// UDP and GUE headers. The UDP checksum is zero: what is inside has its own, and a sum over all of it is the one thing
/// here whose cost would grow with the packet (RFC 768; RFC 6935 and 6936 for IPv6).
template <class F>
LB_INLINE bool write_gue(const F& frame, u32 at, const Tunnel& tunnel, u32 spread, u8 protocol, u32 inner) {
  auto* udp = header_at<Udp>(frame, at);
  auto* gue = header_at<Gue>(frame, at + static_cast<u32>(sizeof(Udp)));
  if (!udp || !gue) return false;
  udp->source = to_be(static_cast<u16>(0xc000 | (spread & 0x3fff)));  // the dynamic ports (RFC 6335, 6)
  udp->destination = tunnel.gue_port;
  udp->length = to_be(static_cast<u16>(inner + gue_length));
  udp->checksum = Be16{0};
  *gue = {0, protocol, Be16{0}};
  return true;
}

/// Writes everything but the MAC addresses into the first `room` bytes and what they push aside; false when a header is
/// not where the packet says.
template <class F, class T>
LB_INLINE bool encapsulate(const F& frame, const T& t, const Tunnel& tunnel, u32 room) {
  using Net = typename T::Network;
  const u32 network = t.packet.network;
  auto* inner = header_at<typename IpHeader<Net>::Type>(frame, (network + room) & outer_mask);
  if (!inner) return false;
  const u8 inner_protocol = Net::v6 ? ip_protocol::ipv6 : ip_protocol::ipv4;
  const bool gue = t.service.mode == Mode::gue;
  const u32 length = t.packet.length();
  const Outer outer{enter(*inner), gue ? ip_protocol::udp : inner_protocol,
                    static_cast<u16>(gue ? length + gue_length : length), flow_spread(t.hash)};
  const bool v4 = is_v4(t.backend.address);
  if (!move_link(frame, network, room, v4 ? ether_type::ipv4 : ether_type::ipv6)) return false;
  if (gue &&
      !write_gue(frame, (network + room - gue_length) & outer_mask, tunnel, outer.spread, inner_protocol, length))
    return false;
  return v4 ? write_outer4(frame, network, tunnel, t.backend.address, outer)
            : write_outer6(frame, network, tunnel, t.backend.address, outer);
}

}  // namespace weir

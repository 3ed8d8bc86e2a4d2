// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// From frame bytes to a packet that can be picked for: Ethernet, VLAN tags, IPv4 or IPv6, TCP or UDP.
#pragma once

#include "dataplane/core/cursor.hpp"
#include "dataplane/core/extension.hpp"
#include "dataplane/core/flow.hpp"
#include "dataplane/core/verdict.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

inline constexpr u32 max_vlan_tags = 2;
// The farthest that layers 3 and 4 can start, and masks that keep every such offset as it is: the bound that is left to
// a verifier after `forget`.
inline constexpr u32 max_network = sizeof(Ethernet) + max_vlan_tags * sizeof(VlanTag);
inline constexpr u32 max_transport = max_network + sizeof(Ipv6) + max_extension_headers * 256 * 8;
inline constexpr u32 network_mask = 0x1f;
inline constexpr u32 transport_mask = 0x7fff;
static_assert(max_network <= network_mask && max_transport <= transport_mask);

/// Where layer 3 starts and what it is.
struct Link {
  Be16 type;
  u32 network;  // offset of the IP header in bytes
};

/// Skips up to two VLAN tags. A frame too short for its tags keeps the tag's EtherType and is so "not IP".
template <class F>
LB_INLINE Link parse_link(const F& frame, const Ethernet& ethernet) {
  Link link{ethernet.type, sizeof(Ethernet)};
  if (link.type == ether_type::ipv4 || link.type == ether_type::ipv6) return link;
  for (u32 i = 0; i < max_vlan_tags; ++i) {
    if (link.type != ether_type::vlan && link.type != ether_type::service_vlan) break;
    const auto* tag = header_at<VlanTag>(frame, link.network);
    if (!tag) break;
    link = {tag->type, link.network + static_cast<u32>(sizeof(VlanTag))};
  }
  link.network = frame.forget(link.network) & network_mask;
  return link;
}

/// A packet to balance. Offsets and lengths in bytes, counted from the start of the frame.
template <class Net>
struct Packet {
  Net net{};
  u32 ports = 0;      // source and destination port as one word, memory order; 0 in a later fragment
  u32 network = 0;    // offset of the IP header
  u32 transport = 0;  // offset of what the IP headers carry
  u32 end = 0;        // end of the IP datagram
  u8 protocol = 0;
  u8 ttl = 0;
  Piece piece = Piece::whole;
  u8 flags = 0;  // of TCP, 0 else

  /// TCP, SYN without ACK: opens a connection.
  LB_INLINE bool syn() const { return (flags & (tcp_syn | tcp_ack)) == tcp_syn; }
  /// TCP, SYN with or without ACK: may offer a maximum segment size.
  LB_INLINE bool offer() const { return (flags & tcp_syn) != 0; }
  LB_INLINE Be16 source_port() const { return {static_cast<u16>(ports)}; }
  LB_INLINE Be16 destination_port() const { return {static_cast<u16>(ports >> 16)}; }
  LB_INLINE u32 length() const { return end - network; }
};

/// TCP or UDP header: RFC 9293 3.1, RFC 768. Data offset and length must fit the datagram; the first fragment of one
/// shows no more than its own part.
template <class Net, class F>
LB_INLINE Parsed parse_transport(const F& frame, Packet<Net>& packet) {
  const bool tcp_segment = packet.protocol == static_cast<u8>(Protocol::tcp);
  const bool balanced = tcp_segment || packet.protocol == static_cast<u8>(Protocol::udp);
  if (packet.piece == Piece::later) return balanced ? parsed() : unparsed(Verdict::fragment);
  const u32 available = packet.end - packet.transport;
  if (tcp_segment) {
    if (available < sizeof(Tcp)) return unparsed(Verdict::bad_tcp_header);
    const auto* tcp = header_at<Tcp>(frame, packet.transport);
    if (!tcp) return unparsed(Verdict::truncated);
    const u32 length = (tcp->data_offset >> 4) * 4U;
    if (length < sizeof(Tcp) || length > available) return unparsed(Verdict::bad_tcp_header);
    packet.ports = u32{tcp->source.raw} | u32{tcp->destination.raw} << 16;
    packet.flags = tcp->flags;
    return parsed();
  }
  if (balanced) {
    if (available < sizeof(Udp)) return unparsed(Verdict::bad_udp_header);
    const auto* udp = header_at<Udp>(frame, packet.transport);
    if (!udp) return unparsed(Verdict::truncated);
    const u32 length = to_host(udp->length);
    if (length < sizeof(Udp) || (length > available && packet.piece == Piece::whole))
      return unparsed(Verdict::bad_udp_header);
    packet.ports = u32{udp->source.raw} | u32{udp->destination.raw} << 16;
    return parsed();
  }
  if (packet.protocol != Net::icmp) return unparsed(Verdict::protocol_not_balanced);
  return packet.piece == Piece::whole ? parsed(Kind::icmp) : unparsed(Verdict::fragment);
}

/// IPv4, RFC 791. The checks stand in the order of the header. The header checksum is not verified: the rewrite keeps
/// a wrong one wrong, and the backend's kernel refuses it.
template <class F>
LB_INLINE Parsed parse_network(const F& frame, u32 offset, Packet<V4>& packet) {
  const auto* ip = header_at<Ipv4>(frame, offset);
  if (!ip) return unparsed(Verdict::short_header);
  packet.net = {ip->source, ip->destination};
  packet.network = offset;
  if (ip->version_ihl >> 4 != 4) return unparsed(Verdict::bad_ip_header);
  // RFC 791: a header has 20..60 bytes. Below 20 the difference wraps and is refused by the same comparison, which is
  // also where the verifier takes its bound from (else "invalid access to packet").
  const u32 options = (ip->version_ihl & 0x0fU) * 4U - static_cast<u32>(sizeof(Ipv4));
  if (options > 40) return unparsed(Verdict::bad_ip_header);
  const u32 total = to_host(ip->total_length);
  if (total < sizeof(Ipv4) + options) return unparsed(Verdict::bad_ip_header);
  packet.end = offset + total;
  if (frame.begin + packet.end > frame.end && packet.end > frame.length()) return unparsed(Verdict::truncated);
  packet.transport = offset + static_cast<u32>(sizeof(Ipv4)) + options;
  packet.protocol = ip->protocol;
  packet.ttl = ip->ttl;
  const u16 fragment = to_host(ip->fragment);
  if (fragment & (ipv4_more_fragments | ipv4_fragment_offset))
    packet.piece = fragment & ipv4_fragment_offset ? Piece::later : Piece::first;
  return parse_transport(frame, packet);
}

/// IPv6, RFC 8200, with a bounded walk over extension headers.
template <class F>
LB_INLINE Parsed parse_network(const F& frame, u32 offset, Packet<V6>& packet) {
  const auto* ip = header_at<Ipv6>(frame, offset);
  if (!ip) return unparsed(Verdict::short_header);
  for (u32 i = 0; i < 4; ++i) {
    packet.net.source[i] = ip->source[i];
    packet.net.destination[i] = ip->destination[i];
  }
  packet.network = offset;
  if ((to_host(ip->version_class_label) >> 28) != 6) return unparsed(Verdict::bad_ip_header);
  packet.end = offset + static_cast<u32>(sizeof(Ipv6)) + to_host(ip->payload_length);
  if (frame.begin + packet.end > frame.end && packet.end > frame.length()) return unparsed(Verdict::truncated);
  packet.ttl = ip->hop_limit;
  packet.protocol = ip->next_header;
  packet.transport = offset + static_cast<u32>(sizeof(Ipv6));
  if (is_extension(packet.protocol)) {
    const Walk walk = walk_extensions(frame, packet.protocol, packet.transport, packet.end);
    if (walk.parsed.kind == Kind::none) return walk.parsed;
    packet.protocol = walk.next;
    packet.piece = walk.piece;
    if (walk.at > packet.end) return unparsed(Verdict::truncated);
    packet.transport = frame.forget(walk.at) & transport_mask;
  }
  return parse_transport(frame, packet);
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// ICMP that Weir itself sends: "too long", in the VIP's name, back where the packet came from.
#pragma once

#include "dataplane/core/encap.hpp"

namespace weir {

namespace icmp4 {
inline constexpr u8 echo_reply = 0;
inline constexpr u8 unreachable = 3;
inline constexpr u8 fragmentation_needed = 4;  // code of `unreachable`
inline constexpr u8 echo_request = 8;
inline constexpr u8 time_exceeded = 11;
inline constexpr u8 parameter_problem = 12;
}  // namespace icmp4

namespace icmp6 {
inline constexpr u8 packet_too_big = 2;
inline constexpr u8 last_error = 4;  // 1 unreachable, 2 too big, 3 time exceeded, 4 parameter problem
inline constexpr u8 echo_request = 128;
inline constexpr u8 echo_reply = 129;
inline constexpr u8 first_discovery = 133;  // router solicitation .. redirect (RFC 4861)
inline constexpr u8 last_discovery = 137;
}  // namespace icmp6

// How much of the packet in question is quoted: as much as keeps the message within 576 bytes (RFC 1812, 4.3.2.3) or
// 1280 bytes (RFC 4443, 2.4 c). A multiple of four, so that the checksum is a sum of words.
template <class Net>
inline constexpr u32 quote_length = Net::v6 ? 1280 - sizeof(Ipv6) - sizeof(Icmp) : 576 - sizeof(Ipv4) - sizeof(Icmp);

template <u32 length>
struct LB_WIRE(4) Quote {
  Be32 word[length / 4];
};

/// The way back to where the frame came from.
template <class F>
LB_INLINE u64 way_back(const F& frame, u32 ingress) {
  const auto* ethernet = header_at<Ethernet>(forgotten(frame), 0);
  if (!ethernet) return 0;
  u64 mac = 0;
  for (u32 i = 0; i < 6; ++i) mac |= u64{ethernet->source[i]} << (8 * i);
  return hop_word(mac, port_index(ingress));
}

template <u32 length>
LB_INLINE u32 sum_of(const Quote<length>& quote) {
  u64 sum = 0;
  const Be32* word = quote.word;
  // Keeps the compiler from making the address anew, which the verifier would not know to have been checked.
  asm volatile("" : "+r"(word));
  for (u32 i = 0; i < length / 4; ++i) sum += word[i].raw;
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  return fold(static_cast<u32>(sum));
}

/// The sum of an ICMP message's pseudo-header (RFC 8200, 8.1); IPv4's ICMP has none.
LB_INLINE u32 pseudo_sum(const Ipv4&, u32) { return 0; }
LB_INLINE u32 pseudo_sum(const Ipv6& ip, u32 length) {
  u32 sum = sum_of(to_be(length)) + sum_of(to_be(u32{ip_protocol::icmp6}));
  for (u32 i = 0; i < 4; ++i) sum += sum_of(ip.source[i]) + sum_of(ip.destination[i]);
  return sum;
}

/// The IP header of a message to the sender of `quoted`; `vip` is null when it comes from the destination.
LB_INLINE void write_reply(Ipv4& ip, const Ipv4& quoted, const Ip* vip, u32 payload) {
  write_ipv4(ip, 0, ip_protocol::icmp, static_cast<u16>(payload), vip ? vip->word[3] : quoted.destination.raw,
             quoted.source.raw);
}
LB_INLINE void write_reply(Ipv6& ip, const Ipv6& quoted, const Ip* vip, u32 payload) {
  ip.version_class_label = to_be(u32{6} << 28);
  ip.payload_length = to_be(static_cast<u16>(payload));
  ip.next_header = ip_protocol::icmp6;
  ip.hop_limit = outer_ttl;
  for (u32 i = 0; i < 4; ++i) {
    ip.source[i].raw = vip ? vip->word[i] : quoted.destination[i].raw;
    ip.destination[i] = quoted.source[i];
  }
}

/// Turns the frame into the answer to a packet that is too long: frag-needed (RFC 1191) or packet-too-big (RFC 8201).
/// `frame.trim(n)` cuts the frame to n bytes, `frame.prepend(n)` puts n bytes in front; both return false when they
/// cannot and move nothing. Returns the verdict to count; on answered_too_big the frame leaves by `ingress`.
template <class Net, class F, class T>
LB_INLINE Verdict reply_too_big(F& frame, const T& tables, const TooBig<Net>& request, u32 ingress) {
  using Header = typename IpHeader<Net>::Type;
  constexpr u32 quoted = quote_length<Net>;
  constexpr u32 room = sizeof(Header) + sizeof(Icmp);
  const u32 network = request.network;
  const Port* port = tables.port(port_index(ingress));
  const Service* service = request.service_id ? tables.service(request.service_id) : nullptr;
  if (!port || (request.service_id && !service)) return Verdict::internal_table;
  if (request.length < quoted) return Verdict::too_big;
  const u64 hop = way_back(frame, ingress);
  if (!hop || !header_at<Quote<quoted>>(frame, network)) return Verdict::too_big;
  if (!tables.allow_answer()) return Verdict::answer_rate_limited;
  if (!frame.trim(network + quoted)) return Verdict::too_big;
  if (!frame.prepend(room)) return Verdict::no_headroom;
  const auto* quote = header_at<Quote<quoted>>(frame, network + room);
  if (!quote) return Verdict::internal_table;
  const u32 quote_sum = sum_of(*quote);
  auto* ip = header_at<Header>(frame, network);
  auto* icmp = header_at<Icmp>(frame, network + static_cast<u32>(sizeof(Header)));
  const auto* original = header_at<Header>(frame, network + room);
  if (!ip || !icmp || !original) return Verdict::internal_table;
  if (!move_link(frame, network, room, Net::v6 ? ether_type::ipv6 : ether_type::ipv4)) return Verdict::internal_table;
  write_reply(*ip, *original, service ? &service->vip : nullptr, sizeof(Icmp) + quoted);
  // RFC 1191: the MTU stands in the lower half of the word; RFC 4443: in all of it.
  *icmp = Net::v6 ? Icmp{icmp6::packet_too_big, 0, {0}, to_be(request.mtu)}
                  : Icmp{icmp4::unreachable, icmp4::fragmentation_needed, {0}, to_be(request.mtu & 0xffff)};
  const u32 sum = pseudo_sum(*ip, sizeof(Icmp) + quoted) + (u32{icmp->type} | u32{icmp->code} << 8) +
                  sum_of(icmp->rest) + quote_sum;
  icmp->checksum = Be16{static_cast<u16>(~fold(sum))};
  return write_macs(frame, hop, *port) ? Verdict::answered_too_big : Verdict::internal_table;
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The RST that ends a flow on the operator's word: the client's packet becomes its own answer.
#pragma once

#include "dataplane/core/answer.hpp"

namespace weir {

/// What a packet says that its answer needs; in host byte order but for the ports.
struct Segment {
  u32 ports;
  u32 sequence;
  u32 acknowledgment;
  u32 length;  // in sequence numbers
  u8 flags;
};

/// The RST that RFC 9293, 3.10.7.1 asks for in answer to `segment`. Its checksum is left to the caller.
LB_INLINE Tcp rst_for(const Segment& segment) {
  const bool acknowledges = (segment.flags & tcp_ack) != 0;
  Tcp tcp{};
  tcp.source.raw = static_cast<u16>(segment.ports >> 16);
  tcp.destination.raw = static_cast<u16>(segment.ports);
  tcp.sequence = to_be(acknowledges ? segment.acknowledgment : u32{0});
  tcp.acknowledgment = to_be(acknowledges ? u32{0} : segment.sequence + segment.length);
  tcp.data_offset = sizeof(Tcp) / 4 << 4;
  tcp.flags = acknowledges ? tcp_rst : static_cast<u8>(tcp_rst | tcp_ack);
  return tcp;
}

LB_INLINE u32 sum_of(const Tcp& tcp) {
  return u32{tcp.source.raw} + tcp.destination.raw + sum_of(tcp.sequence) + sum_of(tcp.acknowledgment) +
         (u32{tcp.data_offset} | u32{tcp.flags} << 8) + tcp.window.raw + tcp.urgent.raw;
}

/// The IP header of a RST that goes back where the packet came from, and the sum of its pseudo-header (RFC 9293, 3.1).
LB_INLINE u32 turn_round(Ipv4& ip) {
  const u32 source = ip.source.raw;
  write_ipv4(ip, 0, static_cast<u8>(Protocol::tcp), sizeof(Tcp), ip.destination.raw, source);
  return sum_of(ip.source) + sum_of(ip.destination) + to_be(u16{static_cast<u8>(Protocol::tcp)}).raw +
         to_be(static_cast<u16>(sizeof(Tcp))).raw;
}
LB_INLINE u32 turn_round(Ipv6& ip) {
  ip.version_class_label = to_be(u32{6} << 28);
  ip.payload_length = to_be(static_cast<u16>(sizeof(Tcp)));
  ip.next_header = static_cast<u8>(Protocol::tcp);
  ip.hop_limit = outer_ttl;
  u32 sum = to_be(u16{static_cast<u8>(Protocol::tcp)}).raw + to_be(static_cast<u16>(sizeof(Tcp))).raw;
  for (u32 i = 0; i < 4; ++i) {
    const Be32 source = ip.source[i];
    ip.source[i] = ip.destination[i];
    ip.destination[i] = source;
    sum += sum_of(ip.source[i]) + sum_of(ip.destination[i]);
  }
  return sum;
}

LB_INLINE Ip source_of(const Ipv4& ip) { return ip_from_v4(ip.source); }
LB_INLINE Ip source_of(const Ipv6& ip) {
  return {{ip.source[0].raw, ip.source[1].raw, ip.source[2].raw, ip.source[3].raw}};
}

/// Turns a TCP packet into the RST that answers it, out of `ingress`, and reports the flow. IP options and extension
/// headers, TCP options and data go. `frame.trim(n)` as in reply_too_big(). Returns the verdict to count.
template <class Net, class F, class T>
LB_INLINE Verdict reply_reset(F& frame, const T& tables, const Reset<Net>& request, u32 ingress) {
  using Header = typename IpHeader<Net>::Type;
  constexpr u32 room = sizeof(Header) + sizeof(Tcp);
  const Port* port = tables.port(port_index(ingress));
  const auto* from = header_at<Header>(frame, request.network);
  const auto* asked = header_at<Tcp>(frame, request.transport);
  if (!port || !from || !asked) return Verdict::internal_table;
  const u32 header = (asked->data_offset >> 4) * 4U;
  const u32 data = request.end - request.transport - header;
  const Segment segment{u32{asked->source.raw} | u32{asked->destination.raw} << 16, to_host(asked->sequence),
                        to_host(asked->acknowledgment),
                        data + (asked->flags & tcp_fin) + (asked->flags & tcp_syn ? 1U : 0U), asked->flags};
  Tcp answer = rst_for(segment);
  tables.report(EndedFlow{source_of(*from), segment.ports, request.service_id, asked->sequence.raw, ingress});
  if (!frame.trim(request.network + room)) return Verdict::internal_table;
  auto* ip = header_at<Header>(frame, request.network);
  auto* tcp = header_at<Tcp>(frame, request.network + static_cast<u32>(sizeof(Header)));
  if (!ip || !tcp) return Verdict::internal_table;
  answer.checksum = Be16{static_cast<u16>(~fold(turn_round(*ip) + sum_of(answer)))};
  *tcp = answer;
  if (FlowCounters* counters = tables.flow_counters(request.service_id)) counters->resets += 1;
  return write_macs(frame, way_back(frame, ingress), *port) ? Verdict::answered_reset : Verdict::internal_table;
}

}  // namespace weir

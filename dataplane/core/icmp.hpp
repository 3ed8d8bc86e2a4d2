// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Control messages: errors about a flow go to that flow's backend, or from a nat backend's side to the client; echo
// requests to a VIP are answered; the rest has a verdict.
#pragma once

#include "dataplane/core/answer.hpp"
#include "dataplane/core/icmp_nat.hpp"
#include "dataplane/core/quoted.hpp"
#include "dataplane/core/rewrite.hpp"

namespace weir {

LB_INLINE constexpr bool is_error(const V4&, u8 type) {
  return type == icmp4::unreachable || type == icmp4::time_exceeded || type == icmp4::parameter_problem;
}
LB_INLINE constexpr bool is_error(const V6&, u8 type) { return type >= 1 && type <= icmp6::last_error; }
LB_INLINE constexpr bool is_echo_request(const V4&, u8 type) { return type == icmp4::echo_request; }
LB_INLINE constexpr bool is_echo_request(const V6&, u8 type) { return type == icmp6::echo_request; }
LB_INLINE constexpr bool is_discovery(const V4&, u8) { return false; }
LB_INLINE constexpr bool is_discovery(const V6&, u8 type) {
  return type >= icmp6::first_discovery && type <= icmp6::last_discovery;
}

LB_INLINE void swap_addresses(Ipv4& ip) {
  const Be32 source = ip.source;
  ip.source = ip.destination;
  ip.destination = source;
  const u16 before = static_cast<u16>(u32{ip.ttl} | u32{ip.protocol} << 8);
  ip.ttl = outer_ttl;
  const u16 after = static_cast<u16>(u32{ip.ttl} | u32{ip.protocol} << 8);
  ip.checksum = update_checksum(ip.checksum, replace_delta(before, after));
}
LB_INLINE void swap_addresses(Ipv6& ip) {
  for (u32 i = 0; i < 4; ++i) {
    const Be32 source = ip.source[i];
    ip.source[i] = ip.destination[i];
    ip.destination[i] = source;
  }
  ip.hop_limit = outer_ttl;
}

/// Turns an echo request into its reply (RFC 792; RFC 4443, 4.2). It leaves by `ingress`.
template <class Net, class F, class T>
LB_INLINE Verdict reply_echo(const F& frame, const T& tables, const Packet<Net>& packet, u32 ingress) {
  const Port* port = tables.port(port_index(ingress));
  const u64 hop = way_back(frame, ingress);
  if (!port || !hop) return Verdict::internal_table;
  if (!tables.allow_answer()) return Verdict::answer_rate_limited;
  auto* ip = header_at<typename IpHeader<Net>::Type>(frame, packet.network);
  auto* icmp = header_at<Icmp>(frame, packet.transport);
  if (!ip || !icmp) return Verdict::internal_table;
  swap_addresses(*ip);
  constexpr u8 reply = Net::v6 ? icmp6::echo_reply : icmp4::echo_reply;
  icmp->checksum =
      update_checksum(icmp->checksum, replace_delta(icmp->type, reply));  // the type is its word's low byte
  icmp->type = reply;
  // RFC 1624's form gives 0 where the whole message is zeros, whose checksum is 0xffff; both are 0 to a receiver else.
  if (icmp->checksum.raw == 0) icmp->checksum.raw = 0xffff;
  return write_macs(frame, hop, *port) ? Verdict::answered_echo : Verdict::internal_table;
}

/// The flow that a quoted packet belongs to when the VIP has sent it: its other direction.
LB_INLINE V4 reversed(const V4& net) { return {net.destination, net.source}; }
LB_INLINE V6 reversed(const V6& net) {
  V6 other{};
  for (u32 i = 0; i < 4; ++i) {
    other.source[i] = net.destination[i];
    other.destination[i] = net.source[i];
  }
  return other;
}
LB_INLINE constexpr bool same_address(Be32 a, Be32 b) { return a == b; }
LB_INLINE constexpr bool same_address(const Be32 (&a)[4], const Be32 (&b)[4]) {
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

/// An error about what a VIP has sent: to the backend that sent it.
template <class Net, class T, class Send>
LB_INLINE Verdict forward_error(const T& tables, const Globals& globals, const Packet<Net>& packet,
                                const Quoted<Net>& quoted, u32 service_id, const Send& send) {
  const Service* service = tables.service(service_id);
  if (!service) return Verdict::internal_table;
  if (is_martian(packet.net)) return Verdict::martian_source;
  const u32 ports = quoted.ports >> 16 | quoted.ports << 16;
  Pick p = pick(tables, globals, *service, reversed(quoted.net), ports, quoted.protocol);
  if (!p.row_exists) return Verdict::internal_table;
  if (p.asks_memory()) {
    FlowQuery query = flow_query(p, *service, service_id, reversed(quoted.net), ports, quoted.protocol, 0);
    p.backend = recalled_backend(tables.consult(query));
  }
  if (p.backend == nobody) return Verdict::no_backend;
  const Backend* backend = tables.backend(p.backend);
  if (!backend) return Verdict::internal_table;
  const Mode mode = service->mode;
  if (mode != Mode::l2dsr && packet.ttl <= 1) return Verdict::ttl_expired;
  const u64 hop = load_once(backend->hop);
  if (!(hop & hop_resolved)) return Verdict::backend_no_neighbor;
  // RFC 1122, 3.2.2: an error is never answered with an error.
  if (packet.length() > fitting(packet, load_once(backend->mtu))) return Verdict::too_big;
  constexpr Verdict verdict = Verdict::forwarded_icmp;
  if (mode == Mode::nat) {
    const Port* egress = tables.port(hop_port(hop));
    if (!egress) return Verdict::internal_table;
    return send(TransmitError<Net, How::translate>{
        {verdict, packet, *service, *backend, service_id, p.backend, p.row, p.hash, hop, *egress, 0}, quoted});
  }
  if (mode == Mode::l2dsr)
    return transmit<How::bridge>(tables, verdict, packet, *service, service_id, *backend, p.backend, p, hop, send);
  return transmit<How::encapsulate>(tables, verdict, packet, *service, service_id, *backend, p.backend, p, hop, send);
}

/// An error about what a client has sent, from the nat backend's side: to the client, in the VIP's name.
template <class Net, class T, class Send>
LB_INLINE Verdict return_error(const T& tables, const Packet<Net>& packet, const Quoted<Net>& quoted, u32 backend_id,
                               const Send& send) {
  const Backend* backend = tables.backend(backend_id);
  if (!backend) return Verdict::internal_table;
  const Service* service = tables.service(backend->service);
  if (!service) return Verdict::internal_table;
  if (packet.ttl <= 1) return Verdict::ttl_expired;
  const Route route = tables.route(packet.net, service->vip, packet.length());
  if (route.why == Verdict::too_big) return Verdict::too_big;
  if (!(route.hop & hop_resolved)) return route.why;
  const Port* egress = tables.port(hop_port(route.hop));
  if (!egress) return Verdict::internal_table;
  return send(TransmitError<Net, How::untranslate>{
      {Verdict::returned_icmp, packet, *service, *backend, backend->service, backend_id, 0, 0, route.hop, *egress, 0},
      quoted});
}

/// Decides on an error message, whose quote tells whom it is for.
template <class Net, class F, class T, class Send>
LB_INLINE Verdict assign_error(const F& frame, const T& tables, const Globals& globals, const Packet<Net>& packet,
                               const Send& send) {
  Quoted<Net> quoted;
  const Reading reading = parse_quoted(frame, packet.transport + static_cast<u32>(sizeof(Icmp)), packet.end, quoted);
  if (reading == Reading::none) return unclaimed(tables, globals, packet.net.destination, Verdict::bad_icmp);
  if (reading == Reading::flow) {
    // It concerns its receiver: the quoted packet came from where the error goes to.
    if (!same_address(quoted.net.source, packet.net.destination))
      return unclaimed(tables, globals, packet.net.destination, Verdict::icmp_no_flow);
    if (const u32 service = find_service(tables, globals, quoted.net.source, quoted.protocol, quoted.source_port()))
      return forward_error(tables, globals, packet, quoted, service, send);
    if (const u32 backend =
            find_answering(tables, globals, quoted.net.destination, quoted.protocol, quoted.destination_port()))
      return return_error(tables, packet, quoted, backend, send);
  }
  return unclaimed(tables, globals, packet.net.destination, Verdict::icmp_no_flow);
}

/// Decides on a frame that decide() has found to be a control message.
template <class Net, class F, class T, class Send>
LB_INLINE Verdict decide_icmp(const F& frame, const T& tables, const ControlMessage<Net>& message, u32 ingress,
                              const Send& send) {
  const Globals* globals = tables.globals();
  if (!globals) return Verdict::internal_table;
  Packet<Net> packet;
  const Parsed parsed = parse_network(frame, message.network, packet);
  if (parsed.kind != Kind::icmp) return Verdict::internal_table;
  const auto& destination = packet.net.destination;
  const auto* icmp = header_at<Icmp>(frame, packet.transport);
  if (!icmp || packet.transport + sizeof(Icmp) > packet.end)
    return unclaimed(tables, *globals, destination, Verdict::bad_icmp);
  if (is_error(packet.net, icmp->type)) return assign_error(frame, tables, *globals, packet, send);
  const u32 vip = find(tables, *globals, destination, key_word(KeyKind::vip, 0, Be16{0}));
  if (vip == 0) return Verdict::not_ours;
  if (vip == static_cast<u32>(VipState::local)) return Verdict::vip_local;
  if (is_discovery(packet.net, icmp->type)) return Verdict::neighbor_discovery;
  if (!is_echo_request(packet.net, icmp->type)) return Verdict::icmp_not_balanced;
  if (is_martian(packet.net)) return Verdict::martian_source;
  return reply_echo(frame, tables, packet, ingress);
}

}  // namespace weir

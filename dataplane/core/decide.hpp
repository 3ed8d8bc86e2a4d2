// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The whole fast path: bytes and tables in, verdict and header values out. Pure: it moves no packet memory, reads no
// clock and counts nothing; the engine does that around it.
//
// A packet that is to be sent is handed to the engine's `send` as a value whose type says what to rewrite; all others
// come back as a bare verdict. (One struct for all outcomes cost 100 instructions per packet: clang wrote its unused
// fields at every one of the two dozen exits.)
#pragma once

#include "dataplane/core/parse.hpp"
#include "dataplane/core/pick.hpp"

namespace weir {

/// What `send` gets: a packet, where it goes, and (by type) how it is rewritten. Pointers are into the tables.
template <class Net, Verdict verdict_>
struct Transmit {
  using Network = Net;
  static constexpr Verdict verdict = verdict_;  // forwarded_nat, forwarded_l2dsr or returned_nat
  const Packet<Net>& packet;
  const Service& service;
  const Backend& backend;
  u32 service_id;
  u32 backend_id;
  u64 hop;  // as in Backend, resolved
  const Port& egress;
};

/// Hands a packet to `send`, if its next hop and the port it leaves by are known.
template <Verdict verdict, class Net, class T, class Send>
LB_INLINE Verdict transmit(const T& tables, const Packet<Net>& packet, const Service& service, u32 service_id,
                           const Backend& backend, u32 backend_id, u64 hop, Verdict unresolved, const Send& send) {
  if (!(hop & hop_resolved)) return unresolved;
  const Port* egress = tables.port(hop_port(hop));
  if (!egress) return Verdict::internal_table;
  return send(Transmit<Net, verdict>{packet, service, backend, service_id, backend_id, hop, *egress});
}

/// Client to backend.
template <class Net, class T, class Send>
LB_INLINE Verdict forward(const T& tables, const Globals& globals, const Packet<Net>& packet, u32 service_id,
                          const Send& send) {
  const Service* service = tables.service(service_id);
  if (!service) return Verdict::internal_table;
  const u32 backend_id = pick(tables, globals, *service, packet);
  if (backend_id == nobody) return Verdict::no_backend;
  const Backend* backend = tables.backend(backend_id);
  if (!backend) return Verdict::internal_table;
  const u64 hop = load_once(backend->hop);
  if (service->mode == Mode::l2dsr)
    return transmit<Verdict::forwarded_l2dsr>(tables, packet, *service, service_id, *backend, backend_id, hop,
                                              Verdict::backend_no_neighbor, send);
  // RFC 1812 5.3.1: whoever routes a datagram takes one from its TTL. In l2dsr Weir is a bridge and leaves IP alone.
  if (packet.ttl <= 1) return Verdict::ttl_expired;
  return transmit<Verdict::forwarded_nat>(tables, packet, *service, service_id, *backend, backend_id, hop,
                                          Verdict::backend_no_neighbor, send);
}

/// Backend to client, mode nat.
template <class Net, class T, class Send>
LB_INLINE Verdict answer(const T& tables, const Packet<Net>& packet, u32 backend_id, const Send& send) {
  const Backend* backend = tables.backend(backend_id);
  if (!backend) return Verdict::internal_table;
  const Service* service = tables.service(backend->service);
  if (!service) return Verdict::internal_table;
  if (packet.ttl <= 1) return Verdict::ttl_expired;
  const Route route = tables.route(packet.net, service->vip, packet.end - packet.network);
  return transmit<Verdict::returned_nat>(tables, packet, *service, backend->service, *backend, backend_id, route.hop,
                                         route.why, send);
}

/// A packet that no service takes: to a VIP it is stopped with its reason, unless the kernel owns that address as well.
template <class T, class Address>
LB_INLINE Verdict unclaimed(const T& tables, const Globals& globals, const Address& destination, Verdict why) {
  const u32 vip = find(tables, globals, destination, key_word(KeyKind::vip, 0, Be16{0}));
  if (vip == 0) return Verdict::not_ours;
  return vip == static_cast<u32>(VipState::local) ? Verdict::vip_local : why;
}

/// Decides on a parsed packet: to a service, from a backend, or neither.
template <class Net, class T, class Send>
LB_INLINE Verdict assign(const T& tables, const Globals& globals, const Packet<Net>& packet, const Send& send) {
  const u32 service_key = key_word(KeyKind::service, packet.protocol, packet.destination_port());
  if (const u32 service = find(tables, globals, packet.net.destination, service_key))
    return forward(tables, globals, packet, service, send);
  const u32 answer_key = key_word(KeyKind::answer, packet.protocol, packet.source_port());
  if (const u32 backend = find(tables, globals, packet.net.source, answer_key))
    return answer(tables, packet, backend, send);
  return unclaimed(tables, globals, packet.net.destination, Verdict::no_service);
}

template <class Net, class F, class T, class Send>
LB_INLINE Verdict balance(const F& frame, u32 network, const T& tables, const Globals& globals, const Send& send) {
  Packet<Net> packet;
  const Parsed parsed = parse_network(frame, network, packet);
  if (parsed.why == Verdict::short_header) return Verdict::short_header;
  if (!parsed.ok) return unclaimed(tables, globals, packet.net.destination, parsed.why);
  return assign(tables, globals, packet, send);
}

/// Decides on one frame that came in on the interface `ingress` (its index). Calls `send` at most once, with a
/// Transmit, and then returns what it returned.
template <class F, class T, class Send>
LB_INLINE Verdict decide(const F& frame, const T& tables, u32 ingress, const Send& send) {
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  if (!ethernet) return Verdict::short_header;
  const Globals* globals = tables.globals();
  if (!globals) return Verdict::internal_table;
  const Port* port = tables.port(port_index(ingress));
  if (!port) return Verdict::internal_table;
  if (ethernet->destination[0] & 1) return Verdict::not_unicast;
  const auto* destination = header_at<MacWord0>(frame, 0);
  if (!destination || (destination->raw & mac_mask) != load_once(port->mac)) return Verdict::other_host;

  const Link link = parse_link(frame, *ethernet);
  if (link.type == ether_type::ipv4) return balance<V4>(frame, link.network, tables, *globals, send);
  if (link.type == ether_type::ipv6) return balance<V6>(frame, link.network, tables, *globals, send);
  return Verdict::not_ip;
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The whole fast path: bytes and tables in, verdict and header values out. Pure: it moves no packet memory, reads no
// clock and counts nothing; the engine does that around it.
#pragma once

#include "dataplane/core/parse.hpp"
#include "dataplane/core/pick.hpp"

namespace weir {

/// What is to be done with one frame. Pointers are into the tables, never into the frame.
struct Decision {
  Verdict verdict = Verdict::not_ours;
  bool v6 = false;
  bool syn = false;
  u8 protocol = 0;
  u32 network = 0;    // offset of the IP header
  u32 transport = 0;  // offset of the TCP or UDP header
  u32 bytes = 0;      // frame length without padding; 0 when it was not parsed so far
  u32 service_id = 0;
  u32 backend_id = nobody;
  const Service* service = nullptr;  // not null when a packet is rewritten
  const Backend* backend = nullptr;  // likewise
  u64 hop = 0;                       // as in Backend, when the action is transmit
  const Port* egress = nullptr;      // likewise
};

LB_INLINE Decision stop(Verdict verdict) {
  Decision d;
  d.verdict = verdict;
  return d;
}

/// Sends a decided packet to its next hop, if that and the port it leaves by are known.
template <class T>
LB_INLINE Decision send(const T& tables, Decision d, u64 hop, Verdict verdict, Verdict unresolved) {
  if (!(hop & hop_resolved)) {
    d.verdict = unresolved;
    return d;
  }
  d.hop = hop;
  d.egress = tables.port(hop_port(hop));
  d.verdict = d.egress ? verdict : Verdict::internal_table;
  return d;
}

/// Client to backend.
template <class Net, class T>
LB_INLINE Decision forward(const T& tables, const Globals& globals, const Packet<Net>& packet, Decision d) {
  d.service = tables.service(d.service_id);
  if (!d.service) return stop(Verdict::internal_table);
  const Pick picked = pick(tables, globals, *d.service, packet);
  if (!picked.backend) {
    d.verdict = picked.why;
    return d;
  }
  d.backend = picked.backend;
  d.backend_id = picked.id;
  const bool nat = d.service->mode == Mode::nat;
  // RFC 1812 5.3.1: whoever routes a datagram takes one from its TTL. In l2dsr Weir is a bridge and leaves IP alone.
  if (nat && packet.ttl <= 1) {
    d.verdict = Verdict::ttl_expired;
    return d;
  }
  return send(tables, d, load_once(d.backend->hop), nat ? Verdict::forwarded_nat : Verdict::forwarded_l2dsr,
              Verdict::backend_no_neighbor);
}

/// Backend to client, mode nat. `d.backend_id` is known from the index.
template <class Net, class T>
LB_INLINE Decision answer(const T& tables, const Packet<Net>& packet, Decision d) {
  d.backend = tables.backend(d.backend_id);
  if (!d.backend) return stop(Verdict::internal_table);
  d.service_id = d.backend->service;
  d.service = tables.service(d.service_id);
  if (!d.service) return stop(Verdict::internal_table);
  if (packet.ttl <= 1) {
    d.verdict = Verdict::ttl_expired;
    return d;
  }
  const Route route = tables.route(packet.net, d.service->vip, packet.end - packet.network);
  return send(tables, d, route.hop, Verdict::returned_nat, route.why);
}

/// A packet that no service takes: to a VIP it is stopped with its reason, unless the kernel owns that address as well.
template <class T, class Address>
LB_INLINE Decision unclaimed(const T& tables, const Globals& globals, const Address& destination, Verdict why) {
  const u32 vip = find(tables, globals, destination, key_word(KeyKind::vip, 0, Be16{0}));
  if (vip == 0) return stop(Verdict::not_ours);
  return stop(vip == static_cast<u32>(VipState::local) ? Verdict::vip_local : why);
}

/// Decides on a parsed packet: to a service, from a backend, or neither.
template <class Net, class T>
LB_INLINE Decision assign(const T& tables, const Globals& globals, const Packet<Net>& packet) {
  Decision d;
  d.v6 = Net::v6;
  d.syn = packet.syn;
  d.protocol = packet.protocol;
  d.network = packet.network;
  d.transport = packet.transport;
  d.bytes = packet.end;
  const u32 service_key = key_word(KeyKind::service, packet.protocol, packet.destination_port());
  d.service_id = find(tables, globals, packet.net.destination, service_key);
  if (d.service_id) return forward(tables, globals, packet, d);
  const u32 answer_key = key_word(KeyKind::answer, packet.protocol, packet.source_port());
  d.backend_id = find(tables, globals, packet.net.source, answer_key);
  if (d.backend_id) return answer(tables, packet, d);
  return unclaimed(tables, globals, packet.net.destination, Verdict::no_service);
}

template <class Net, class F, class T>
LB_INLINE Decision balance(const F& frame, u32 network, const T& tables, const Globals& globals) {
  Packet<Net> packet;
  const Parsed parsed = parse_network(frame, network, packet);
  if (parsed.why == Verdict::short_header) return stop(Verdict::short_header);
  if (!parsed.ok) return unclaimed(tables, globals, packet.net.destination, parsed.why);
  return assign(tables, globals, packet);
}

/// Decides on one frame that came in on the interface `ingress` (its index).
template <class F, class T>
LB_INLINE Decision decide(const F& frame, const T& tables, u32 ingress) {
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  const Globals* globals = tables.globals();
  const Port* port = tables.port(port_index(ingress));
  if (!ethernet || !globals || !port) return stop(ethernet ? Verdict::internal_table : Verdict::short_header);
  if (ethernet->destination[0] & 1) return stop(Verdict::not_unicast);
  if (destination_mac(*ethernet) != load_once(port->mac)) return stop(Verdict::other_host);

  const Link link = parse_link(frame, *ethernet);
  if (link.type == ether_type::ipv4) return balance<V4>(frame, link.network, tables, *globals);
  if (link.type == ether_type::ipv6) return balance<V6>(frame, link.network, tables, *globals);
  return stop(Verdict::not_ip);
}

}  // namespace weir

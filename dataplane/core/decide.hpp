// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The whole fast path: bytes and tables in, verdict and header values out. Pure: it moves no packet memory, reads no
// clock and counts nothing; the engine does that around it.
//
// A packet that is to be sent is handed to the engine's `send` as a value whose type says what to rewrite; all others
// come back as a bare verdict. (One struct for all outcomes cost 100 instructions per packet: clang wrote its unused
// fields at every one of the two dozen exits.) What only some packets need, answers and control messages, is handed to
// `send` as a request, so that an engine can keep it out of the way of the rest: see answer.hpp and icmp.hpp.
#pragma once

#include "dataplane/core/glance.hpp"
#include "dataplane/core/parse.hpp"
#include "dataplane/core/pick.hpp"

namespace weir {

/// What is done with the bytes of a packet that is sent.
enum class How : u8 {
  bridge,       // MAC addresses
  translate,    // nat, client to backend
  untranslate,  // nat, backend to client
  encapsulate,  // outer headers in front
};

/// What `send` gets: a packet, where it goes, and (by type) how it is rewritten. References are into the tables.
template <class Net, How how_>
struct Transmit {
  using Network = Net;
  static constexpr How how = how_;
  Verdict verdict;  // to count once the packet has been rewritten
  const Packet<Net>& packet;
  const Service& service;
  const Backend& backend;
  u32 service_id;
  u32 backend_id;
  u32 row;   // holds but for How::untranslate
  u64 hash;  // the flow's; holds for How::encapsulate
  u64 hop;   // as in Backend, resolved
  const Port& egress;
  u16 mss;  // the greatest MSS that the packet may offer; 0: it makes no offer, or any
};

/// A request to tell the sender that its packet is too long; `send` answers with reply_too_big() of answer.hpp.
template <class Net>
struct TooBig {
  using Network = Net;
  u32 network;     // offset of the IP header
  u32 length;      // of the IP datagram, in bytes
  u32 mtu;         // what would fit, in bytes
  u32 service_id;  // in whose VIP's name; 0: in the name of the packet's destination
};

/// A request to answer a TCP packet of a flow that the operator has ended; see reply_reset() of reset.hpp.
template <class Net>
struct Reset {
  using Network = Net;
  u32 network;    // offset of the IP header
  u32 transport;  // offset of the TCP header
  u32 end;        // of the IP datagram
  u32 service_id;
};

/// A request to go on with decide_icmp() of icmp.hpp.
template <class Net>
struct ControlMessage {
  using Network = Net;
  u32 network;  // offset of the IP header
};

/// Addresses that no packet on the wire comes from (RFC 1122, 3.2.1.3; RFC 1812, 5.3.7; RFC 4291, 2.5 and 2.7).
LB_INLINE constexpr bool is_martian(const V4& net) {
  const u8 first = static_cast<u8>(net.source.raw);
  return first == 0 || first == 127 || first >= 224 || net.source == net.destination;
}
LB_INLINE constexpr bool is_martian(const V6& net) {
  const auto& s = net.source;
  if (static_cast<u8>(s[0].raw) == 0xff) return true;
  const bool low = s[0].raw == 0 && s[1].raw == 0 && s[2].raw == 0 && (s[3].raw & 0xfeff'ffff) == 0;
  const auto& d = net.destination;
  return low || (s[0] == d[0] && s[1] == d[1] && s[2] == d[2] && s[3] == d[3]);
}

/// What the link header takes from the MTU, in bytes: of two VLAN tags Ethernet's own allowance covers one.
template <class Net>
LB_INLINE u32 unaccounted(const Packet<Net>& packet) {
  return packet.network == max_network ? sizeof(VlanTag) : 0;
}

/// How long a datagram may be when the way carries `mtu` bytes.
template <class Net>
LB_INLINE u32 fitting(const Packet<Net>& packet, u32 mtu) {
  const u32 less = unaccounted(packet);
  return mtu > less ? mtu - less : 0;
}

/// Hands a packet to `send`, if the port it leaves by is known.
template <How how, class Net, class T, class Send>
LB_INLINE Verdict transmit(const T& tables, Verdict verdict, const Packet<Net>& packet, const Service& service,
                           u32 service_id, const Backend& backend, u32 backend_id, const Pick& p, u64 hop,
                           const Send& send) {
  const Port* egress = tables.port(hop_port(hop));
  if (!egress) return Verdict::internal_table;
  const u16 mss = packet.offer() ? table_mss(p.table) : u16{0};
  return send(
      Transmit<Net, how>{verdict, packet, service, backend, service_id, backend_id, p.row, p.hash, hop, *egress, mss});
}

/// Asks the flow table where the packet's flow belongs. True when the operator has ended it.
template <class Net, class T>
LB_INLINE bool recall_into(const T& tables, const Globals& globals, const Service& service, u32 service_id,
                           const Packet<Net>& packet, Pick& p) {
  if (packet.piece != Piece::whole) {  // later fragments have no ports, and the first goes where they go
    p.backend = row_alone(tables, p.row_word);
    return false;
  }
  FlowQuery query = flow_query(p, service, service_id, packet.net, packet.ports, packet.protocol, packet.flags);
  if (const u32 backend = glance(tables, globals, query)) {
    p.backend = backend;
    return false;
  }
  const u64 recalled = tables.recall(query);
  p.backend = recalled_backend(recalled);
  // The RST of an ended flow is its backend's.
  return (recalled & recalled_ended) != 0 && (query.packet & query_rst) == 0;
}

/// Client to backend. `packet` is the flow's, or a fragment of one of a service that hashes on the source.
template <class Net, class T, class Send>
LB_INLINE Verdict forward(const T& tables, const Globals& globals, const Packet<Net>& packet, u32 service_id,
                          const Send& send) {
  const Service* service = tables.service(service_id);
  if (!service) return Verdict::internal_table;
  if (is_martian(packet.net)) return Verdict::martian_source;
  Pick p = pick(tables, globals, *service, packet.net, packet.ports, packet.protocol);
  if (!p.row_exists) return Verdict::internal_table;
  if (p.asks_memory() && recall_into(tables, globals, *service, service_id, packet, p)) {
    if (packet.protocol != static_cast<u8>(Protocol::tcp)) return Verdict::flow_ended;
    return send(Reset<Net>{packet.network, packet.transport, packet.end, service_id});
  }
  if (p.backend == nobody) return Verdict::no_backend;
  const Backend* backend = tables.backend(p.backend);
  if (!backend) return Verdict::internal_table;
  const Mode mode = service->mode;
  // RFC 1812 5.3.1, RFC 2003 3.1: whoever routes or wraps a datagram takes one from its TTL. In l2dsr Weir is a bridge
  // and leaves IP alone.
  if (mode != Mode::l2dsr && packet.ttl <= 1) return Verdict::ttl_expired;
  const u64 hop = load_once(backend->hop);
  if (!(hop & hop_resolved)) return Verdict::backend_no_neighbor;
  const u32 mtu = fitting(packet, load_once(backend->mtu));
  if (packet.length() > mtu)
    return packet.piece == Piece::later ? Verdict::too_big : send(TooBig<Net>{packet.network, packet.length(), mtu, 0});
  if (mode == Mode::nat)
    return transmit<How::translate>(tables, Verdict::forwarded_nat, packet, *service, service_id, *backend, p.backend,
                                    p, hop, send);
  if (mode == Mode::l2dsr)
    return transmit<How::bridge>(tables, Verdict::forwarded_l2dsr, packet, *service, service_id, *backend, p.backend, p,
                                 hop, send);
  const Verdict verdict = mode == Mode::gue ? Verdict::forwarded_gue : Verdict::forwarded_ipip;
  return transmit<How::encapsulate>(tables, verdict, packet, *service, service_id, *backend, p.backend, p, hop, send);
}

/// An answer's receiver in the place where its flow has its source.
LB_INLINE V4 client_of(const V4& net) { return {net.destination, net.source}; }
LB_INLINE V6 client_of(const V6& net) {
  V6 flow{};
  for (u32 i = 0; i < 4; ++i) flow.source[i] = net.destination[i];
  return flow;
}

/// Backend to client, mode nat.
template <class Net, class T, class Send>
LB_INLINE Verdict answer(const T& tables, const Packet<Net>& packet, u32 backend_id, const Send& send) {
  const Backend* backend = tables.backend(backend_id);
  if (!backend) return Verdict::internal_table;
  const Service* service = tables.service(backend->service);
  if (!service) return Verdict::internal_table;
  if (packet.ttl <= 1) return Verdict::ttl_expired;
  const Route route = tables.route(packet.net, service->vip, packet.length() + unaccounted(packet));
  if (route.why == Verdict::too_big)
    return packet.piece == Piece::later
               ? Verdict::too_big
               : send(TooBig<Net>{packet.network, packet.length(), fitting(packet, route.mtu), backend->service});
  if (!(route.hop & hop_resolved)) return route.why;
  const Pick p{load_once(service->table), 0, 0, 0, 0, true};
  if (packet.flags & (tcp_fin | tcp_rst)) {
    const u32 ports =
        u32{service->port.raw ? service->port.raw : packet.source_port().raw} << 16 | packet.destination_port().raw;
    tables.note(flow_key(client_of(packet.net), ports, backend->service), packet.flags);
  }
  return transmit<How::untranslate>(tables, Verdict::returned_nat, packet, *service, backend->service, *backend,
                                    backend_id, p, route.hop, send);
}

/// A packet that no service takes: to a VIP it is stopped with its reason, unless the kernel owns that address as well.
template <class T, class Address>
LB_INLINE Verdict unclaimed(const T& tables, const Globals& globals, const Address& destination, Verdict why) {
  const u32 vip = find(tables, globals, destination, key_word(KeyKind::vip, 0, Be16{0}));
  if (vip == 0) return Verdict::not_ours;
  return vip == static_cast<u32>(VipState::local) ? Verdict::vip_local : why;
}

/// Decides on a fragment. Its ports may be out of sight, so only a service that does without them takes it: the one
/// service of (VIP, protocol), which hashes on the source. The answers of such a service's backends come back likewise.
template <class Net, class T, class Send>
LB_INLINE Verdict assign_fragment(const T& tables, const Globals& globals, Packet<Net>& packet, const Send& send) {
  const bool first = packet.piece == Piece::first;
  const u32 service_id =
      find(tables, globals, packet.net.destination, key_word(KeyKind::fragment, packet.protocol, Be16{0}));
  if (service_id) {
    const Service* service = tables.service(service_id);
    if (!service) return Verdict::internal_table;
    if (first && service->port.raw != 0 && service->port != packet.destination_port()) return Verdict::no_service;
    return forward(tables, globals, packet, service_id, send);
  }
  const u32 backend_id =
      find(tables, globals, packet.net.source, key_word(KeyKind::answer_fragment, packet.protocol, Be16{0}));
  if (backend_id) {
    const Backend* backend = tables.backend(backend_id);
    if (!backend) return Verdict::internal_table;
    if (!first || backend->port.raw == 0 || backend->port == packet.source_port())
      return answer(tables, packet, backend_id, send);
  }
  return unclaimed(tables, globals, packet.net.destination, Verdict::fragment);
}

/// Decides on a parsed packet: to a service, from a backend, or neither.
template <class Net, class T, class Send>
LB_INLINE Verdict assign(const T& tables, const Globals& globals, Packet<Net>& packet, const Send& send) {
  if (packet.piece != Piece::whole) return assign_fragment(tables, globals, packet, send);
  if (const u32 service =
          find_service(tables, globals, packet.net.destination, packet.protocol, packet.destination_port()))
    return forward(tables, globals, packet, service, send);
  if (const u32 backend = find_answering(tables, globals, packet.net.source, packet.protocol, packet.source_port()))
    return answer(tables, packet, backend, send);
  return unclaimed(tables, globals, packet.net.destination, Verdict::no_service);
}

template <class Net>
struct IpHeader;
template <>
struct IpHeader<V4> {
  using Type = Ipv4;
  LB_INLINE static u8 protocol(const Ipv4& ip) { return ip.protocol; }
};
template <>
struct IpHeader<V6> {
  using Type = Ipv6;
  LB_INLINE static u8 protocol(const Ipv6& ip) { return ip.next_header; }
};

template <class Net, class F, class T, class Send>
LB_INLINE Verdict balance(const F& frame, u32 network, const T& tables, const Globals& globals, const Send& send) {
  const auto* ip = header_at<typename IpHeader<Net>::Type>(frame, network);
  if (!ip) return Verdict::short_header;
  // An ICMP error from the backends' side may come from a router that the index does not know.
  if (!is_known(tables, globals, address_word(ip->destination)) &&
      !is_known(tables, globals, address_word(ip->source)) && IpHeader<Net>::protocol(*ip) != Net::icmp)
    return Verdict::not_ours;
  Packet<Net> packet;
  const Parsed parsed = parse_network(frame, network, packet);
  if (parsed.kind == Kind::icmp) return send(ControlMessage<Net>{network});
  if (parsed.kind == Kind::none) return unclaimed(tables, globals, packet.net.destination, parsed.why);
  return assign(tables, globals, packet, send);
}

/// Decides on one frame that came in on the interface `ingress` (its index). Calls `send` at most once, with a
/// Transmit, a TooBig or a ControlMessage, and then returns what it returned.
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

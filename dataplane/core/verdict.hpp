// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Every way out of the fast path, one row each. Counters, texts, metrics and test expectations derive from this table.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// What the engine does with the frame.
enum class Action : u8 {
  pass,      ///< hand to the kernel untouched
  drop,      ///< discard
  transmit,  ///< send, rewritten, out of the decision's egress port
};

// Order is the counters' index and part of the table layout: append, never reorder; a retired row keeps its place.
// "Expected" tells whether a healthy host sees the verdict in ordinary operation.
// clang-format off
//         name                  action    expected  meaning
#define LB_VERDICTS(ROW)                                                                                              \
  ROW(forwarded_nat,            transmit, true,  "client to backend: destination rewritten")                          \
  ROW(forwarded_l2dsr,          transmit, true,  "client to backend: MAC addresses rewritten")                        \
  ROW(returned_nat,             transmit, true,  "backend to client: source rewritten to the VIP")                    \
  ROW(not_ours,                 pass,     true,  "destination is no VIP, source is no backend in mode nat")           \
  ROW(not_ip,                   pass,     true,  "neither IPv4 nor IPv6 (ARP, LLDP, ...)")                            \
  ROW(not_unicast,              pass,     true,  "destination MAC is multicast or broadcast")                         \
  ROW(other_host,               pass,     false, "destination MAC is not this interface's")                           \
  ROW(short_header,             pass,     false, "frame ends before the end of its IP header")                        \
  ROW(vip_local,                pass,     true,  "to a VIP that is the host's own address, but to no service")        \
  ROW(no_service,               drop,     false, "to a VIP, but to a port that has no service")                       \
  ROW(protocol_not_balanced,    drop,     false, "to a VIP, but neither TCP nor UDP")                                 \
  ROW(bad_ip_header,            drop,     false, "to a VIP, with a wrong IP version, header or total length")         \
  ROW(truncated,                drop,     false, "to a VIP, shorter than its IP header says")                         \
  ROW(bad_tcp_header,           drop,     false, "to a VIP, TCP data offset outside the segment")                     \
  ROW(bad_udp_header,           drop,     false, "to a VIP, UDP length outside the datagram")                         \
  ROW(fragment,                 drop,     false, "to a VIP, an IP fragment: its ports cannot be hashed")              \
  ROW(extension_headers,        drop,     false, "to a VIP, more IPv6 extension headers than are walked")             \
  ROW(ttl_expired,              drop,     false, "TTL or hop limit would reach zero")                                 \
  ROW(no_backend,               drop,     false, "the service has no usable backend")                                 \
  ROW(backend_no_neighbor,      drop,     false, "the backend's next hop has no known MAC address")                   \
  ROW(answer_not_forwarded,     pass,     true,  "from a nat backend to this host itself, or where it has no route")  \
  ROW(client_no_route,          drop,     false, "the route back to the client rejects it")                           \
  ROW(client_no_neighbor,       drop,     false, "the next hop towards the client has no known MAC address")          \
  ROW(client_forwarding_off,    drop,     false, "the kernel's forwarding is off on the interface (sysctl)")          \
  ROW(client_egress_unattached, drop,     false, "the way to the client leaves by an unattached interface")           \
  ROW(internal_table,           drop,     false, "a table names a record that does not exist")                        \
  ROW(forwarded_ipip,           transmit, true,  "client to backend: wrapped in an outer IP header")                  \
  ROW(forwarded_gue,            transmit, true,  "client to backend: wrapped in outer IP, UDP and GUE headers")       \
  ROW(forwarded_icmp,           transmit, true,  "ICMP error about a flow: to the flow's backend")                    \
  ROW(returned_icmp,            transmit, true,  "ICMP error about an answer's flow, from the nat backend's side")    \
  ROW(answered_echo,            transmit, true,  "echo request to a VIP: answered")                                   \
  ROW(answered_too_big,         transmit, true,  "too long for the way ahead: answered with the MTU that fits")       \
  ROW(too_big,                  drop,     false, "too long for the way ahead, too short or strange to be answered")   \
  ROW(answer_rate_limited,      drop,     false, "Weir would have answered with ICMP, but has sent enough of it")     \
  ROW(neighbor_discovery,       pass,     true,  "ICMPv6 neighbour discovery to a VIP: the kernel's")                 \
  ROW(bad_icmp,                 drop,     false, "to a VIP, ICMP cut short, or an error that quotes no packet")       \
  ROW(icmp_no_flow,             drop,     false, "to a VIP, an ICMP error about no flow of its services")             \
  ROW(icmp_not_balanced,        drop,     false, "to a VIP, ICMP that is neither an echo request nor an error")       \
  ROW(martian_source,           drop,     false, "to a VIP, from an address that no host has (RFC 1812, 5.3.7)")      \
  ROW(no_headroom,              drop,     false, "the driver left no room in front of the frame for more headers")     \
  ROW(answered_reset,           transmit, true,  "TCP of a flow that the operator has ended: answered with a RST")    \
  ROW(flow_ended,               drop,     true,  "of a flow that the operator has ended, with nothing to answer")
// clang-format on

#define LB_VERDICT_ENUM(name, action, expected, meaning) name,
enum class Verdict : u8 { LB_VERDICTS(LB_VERDICT_ENUM) };
#undef LB_VERDICT_ENUM

#define LB_VERDICT_COUNT(name, action, expected, meaning) +1
inline constexpr u32 verdict_count = 0 LB_VERDICTS(LB_VERDICT_COUNT);
#undef LB_VERDICT_COUNT

/// One row of the table, for programs that print it.
struct VerdictInfo {
  const char* name;
  Action action;
  bool expected;
  const char* meaning;
};

#define LB_VERDICT_INFO(name, action, expected, meaning) {#name, Action::action, expected, meaning},
inline constexpr VerdictInfo verdict_table[] = {LB_VERDICTS(LB_VERDICT_INFO)};
#undef LB_VERDICT_INFO

/// What the engine does on `verdict`. A switch over constants, not a look-up: BPF needs no data section for it.
LB_INLINE constexpr Action action_of(Verdict verdict) {
  switch (verdict) {
#define LB_VERDICT_CASE(name, action, expected, meaning) \
  case Verdict::name:                                    \
    return Action::action;
    LB_VERDICTS(LB_VERDICT_CASE)
#undef LB_VERDICT_CASE
  }
  return Action::drop;
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Carries out a decision on the frame's bytes: MAC addresses in both modes; address, port, TTL and checksums in nat.
#pragma once

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/decide.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

/// The checksum of TCP or UDP after its pseudo-header and a port changed. Over IPv4 a UDP checksum of zero means "none"
/// and stays so; a computed zero is sent as 0xffff (RFC 768).
LB_INLINE Be16 transport_checksum(Be16 checksum, u16 delta, bool udp) {
  if (udp && checksum.raw == 0) return checksum;
  const Be16 updated = update_checksum(checksum, delta);
  return udp && updated.raw == 0 ? Be16{0xffff} : updated;
}

/// Network header of nat: TTL, header checksum (IPv4), and the address that changes.
LB_INLINE void translate(Ipv4& ip, const Ip& to, u16 delta, bool forward) {
  ip.ttl = static_cast<u8>(ip.ttl - 1);
  ip.checksum = update_checksum(ip.checksum, u32{delta} + ttl_delta);
  if (forward)
    ip.destination.raw = to.word[3];
  else
    ip.source.raw = to.word[3];
}
LB_INLINE void translate(Ipv6& ip, const Ip& to, u16, bool forward) {
  ip.hop_limit = static_cast<u8>(ip.hop_limit - 1);
  for (u32 i = 0; i < 4; ++i)
    if (forward)
      ip.destination[i].raw = to.word[i];
    else
      ip.source[i].raw = to.word[i];
}

/// Transport header of nat: the port that changes and the checksum, which covers the address as well.
template <class Header, class F>
LB_INLINE bool translate_transport(const F& frame, const Decision& d, bool forward) {
  auto* header = header_at<Header>(frame, d.transport);
  if (!header) return false;
  const auto delta = static_cast<u16>(forward ? d.backend->transport_delta : ~d.backend->transport_delta);
  constexpr bool udp = sizeof(Header) == sizeof(Udp);
  header->checksum = transport_checksum(header->checksum, delta, udp);
  if (forward)
    header->destination = d.backend->port;
  else
    header->source = d.service->port;
  return true;
}

/// nat in either direction; false when a header is not where the decision says.
template <class IpHeader, class F>
LB_INLINE bool rewrite_nat(const F& frame, const Decision& d, bool forward) {
  const bool transport = d.protocol == static_cast<u8>(Protocol::udp) ? translate_transport<Udp>(frame, d, forward)
                                                                      : translate_transport<Tcp>(frame, d, forward);
  if (!transport) return false;
  auto* ip = header_at<IpHeader>(frame, d.network);
  if (!ip) return false;
  const auto delta = static_cast<u16>(forward ? d.backend->address_delta : ~d.backend->address_delta);
  translate(*ip, forward ? d.backend->address : d.service->vip, delta, forward);
  return true;
}

/// Rewrites the frame for its next hop. Returns the verdict to count: the decision's, or internal_table when the frame
/// does not hold what was decided on.
template <class F>
LB_INLINE Verdict rewrite(const F& frame, const Decision& d) {
  auto* addresses = header_at<EthernetAddresses>(frame, 0);
  if (!addresses || !d.egress || !d.backend || !d.service) return Verdict::internal_table;
  if (d.verdict != Verdict::forwarded_l2dsr) {
    const bool forward = d.verdict == Verdict::forwarded_nat;
    if (!(d.v6 ? rewrite_nat<Ipv6>(frame, d, forward) : rewrite_nat<Ipv4>(frame, d, forward)))
      return Verdict::internal_table;
  }
  const MacBits source = load_once(d.egress->mac);
  addresses->first.raw = hop_mac(d.hop) | source << 48;
  addresses->second.raw = static_cast<u32>(source >> 16);
  return d.verdict;
}

}  // namespace weir

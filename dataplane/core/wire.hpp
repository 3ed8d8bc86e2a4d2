// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Header layouts as they stand on the wire. Own structs and own constant names: the core includes no system header.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// IEEE 802.3 header.
struct [[gnu::packed, gnu::aligned(2)]] Ethernet {
  u8 destination[6];
  u8 source[6];
  Be16 type;
};
static_assert(sizeof(Ethernet) == 14);

/// The 12 bytes of an Ethernet header's addresses as two words, so that a comparison is one load and a rewrite two
/// stores: the destination and bytes 0..1 of the source, then bytes 2..5 of the source.
inline constexpr u32 mac_words_end = 12;
using MacWord0 = WireWord64;
using MacWord1 = WireWord32;

/// What follows the EtherType of a VLAN tag (IEEE 802.1Q).
struct [[gnu::packed, gnu::aligned(2)]] VlanTag {
  Be16 control;  // priority, DEI, VLAN id
  Be16 type;     // EtherType of what follows
};
static_assert(sizeof(VlanTag) == 4);

namespace ether_type {
inline constexpr Be16 ipv4 = to_be(u16{0x0800});
inline constexpr Be16 ipv6 = to_be(u16{0x86dd});
inline constexpr Be16 vlan = to_be(u16{0x8100});          // IEEE 802.1Q customer tag
inline constexpr Be16 service_vlan = to_be(u16{0x88a8});  // IEEE 802.1ad service tag
}  // namespace ether_type

/// RFC 791, 3.1.
struct LB_WIRE(4) Ipv4 {
  u8 version_ihl;
  u8 tos;
  Be16 total_length;
  Be16 id;
  Be16 fragment;
  u8 ttl;
  u8 protocol;
  Be16 checksum;
  Be32 source;
  Be32 destination;
};
static_assert(sizeof(Ipv4) == 20);

inline constexpr u16 ipv4_dont_fragment = 0x4000;
inline constexpr u16 ipv4_more_fragments = 0x2000;
inline constexpr u16 ipv4_fragment_offset = 0x1fff;

/// RFC 8200, 3.
struct LB_WIRE(4) Ipv6 {
  Be32 version_class_label;
  Be16 payload_length;
  u8 next_header;
  u8 hop_limit;
  Be32 source[4];
  Be32 destination[4];
};
static_assert(sizeof(Ipv6) == 40);

/// The first eight bytes that every IPv6 extension header has (RFC 8200, 4).
struct LB_WIRE(4) Ipv6Extension {
  u8 next_header;
  u8 length;      // in 8-byte units beyond the first 8 bytes (4-byte units beyond 8 for the authentication header)
  Be16 fragment;  // fragment header only: offset in the upper 13 bits, M flag in bit 0
  Be32 identification;
};
static_assert(sizeof(Ipv6Extension) == 8);

namespace next_header {
inline constexpr u8 hop_by_hop = 0;
inline constexpr u8 routing = 43;
inline constexpr u8 fragment = 44;
inline constexpr u8 authentication = 51;
inline constexpr u8 destination_options = 60;
inline constexpr u8 mobility = 135;
}  // namespace next_header

/// IANA protocol numbers, in the protocol field of IPv4 and the next header field of IPv6.
namespace ip_protocol {
inline constexpr u8 icmp = 1;
inline constexpr u8 ipv4 = 4;  // IPv4 encapsulated, RFC 2003
inline constexpr u8 udp = 17;
inline constexpr u8 ipv6 = 41;  // IPv6 encapsulated, RFC 2473, RFC 4213
inline constexpr u8 icmp6 = 58;
}  // namespace ip_protocol

/// RFC 792; RFC 4443, 2.1. What `rest` means depends on the type.
struct LB_WIRE(4) Icmp {
  u8 type;
  u8 code;
  Be16 checksum;
  Be32 rest;
};
static_assert(sizeof(Icmp) == 8);

/// RFC 9293, 3.1.
struct LB_WIRE(4) Tcp {
  Be16 source;
  Be16 destination;
  Be32 sequence;
  Be32 acknowledgment;
  u8 data_offset;  // in 4-byte units, upper 4 bits
  u8 flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(Tcp) == 20);

inline constexpr u8 tcp_fin = 0x01;
inline constexpr u8 tcp_syn = 0x02;
inline constexpr u8 tcp_rst = 0x04;
inline constexpr u8 tcp_ack = 0x10;

/// RFC 768.
struct LB_WIRE(4) Udp {
  Be16 source;
  Be16 destination;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(Udp) == 8);

/// Generic UDP Encapsulation, variant 0 without optional fields (draft-ietf-intarea-gue-09, 3).
struct LB_WIRE(4) Gue {
  u8 control;   // variant, C bit, length of the optional fields in 4-byte units
  u8 protocol;  // IANA protocol number of what is inside
  Be16 flags;
};
static_assert(sizeof(Gue) == 4);

/// Source and destination port, which TCP and UDP have in the same place.
struct LB_WIRE(4) Ports {
  Be16 source;
  Be16 destination;
};
static_assert(sizeof(Ports) == 4);

}  // namespace weir

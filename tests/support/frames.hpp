// SPDX-License-Identifier: Apache-2.0
// Frames for tests and benchmarks, built byte by byte and not from the core's structs.
#pragma once

#include <string>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::testing {

using Bytes = std::vector<u8>;

struct FrameSpec {
  std::string source = "192.0.2.1";  // IPv4 or IPv6 text
  std::string destination = "203.0.113.10";
  u16 source_port = 40000;
  u16 destination_port = 80;
  u8 protocol = 6;
  u8 tcp_flags = 0x10;
  u8 ttl = 64;
  std::vector<u16> vlans = {};        // ids, outermost first
  std::vector<u8> ipv4_options = {};  // multiple of 4 bytes
  Bytes extensions = {};              // IPv6: raw extension headers, chained by the caller
  u8 first_extension = 0;             // IPv6 next-header value of `extensions`, when not empty
  u32 payload = 26;                   // bytes of data after the transport header
  Bytes tcp_options = {};             // multiple of 4 bytes
  u16 fragment = 0x4000;              // IPv4: flags and offset; DF alone by default
  u8 traffic_class = 0;               // TOS or traffic class
  Bytes destination_mac = {0x02, 0, 0, 0, 0, 0xaa};
  Bytes source_mac = {0x02, 0, 0, 0, 0, 0x01};
};

/// A whole frame with correct lengths and checksums.
Bytes make_frame(const FrameSpec& spec);

/// The same around a transport header and payload that the caller brings; nothing of `segment` is changed.
Bytes make_datagram(const FrameSpec& spec, const Bytes& segment);

/// An ICMP (IPv4) or ICMPv6 message with a correct checksum; `body` is what follows the checksum. The frame's protocol
/// field is set by the family of `spec`, whatever it says itself.
Bytes make_icmp(FrameSpec spec, u8 type, u8 code, const Bytes& body);

/// The IP datagram of a frame of `make_frame` that has as many VLAN tags as `spec`, cut to at most `most` bytes.
Bytes datagram_of(const Bytes& frame, std::size_t vlans, std::size_t most);

/// The internet checksum over `bytes` (RFC 1071), host byte order; 0 over a region that contains its own checksum.
u16 internet_checksum(const Bytes& bytes);

}  // namespace weir::testing

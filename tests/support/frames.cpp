// SPDX-License-Identifier: Apache-2.0
#include "tests/support/frames.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace weir::testing {
namespace {

void put16(Bytes& out, u32 value) {
  out.push_back(static_cast<u8>(value >> 8));
  out.push_back(static_cast<u8>(value));
}
void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
void set16(Bytes& out, std::size_t at, u16 value) {
  out[at] = static_cast<u8>(value >> 8);
  out[at + 1] = static_cast<u8>(value);
}

Bytes address(const std::string& text) {
  std::array<u8, 16> bytes{};
  const bool v6 = text.find(':') != std::string::npos;
  inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data());
  return {bytes.begin(), bytes.begin() + (v6 ? 16 : 4)};
}

/// The pseudo-header of the transport checksums (RFC 9293 3.1, RFC 8200 8.1).
Bytes pseudo_header(const Bytes& from, const Bytes& to, u8 protocol, std::size_t size) {
  const auto length = static_cast<u32>(size);
  Bytes covered = from;
  append(covered, to);
  if (from.size() == 16) {
    put16(covered, length >> 16);
    put16(covered, length);
    append(covered, {0, 0, 0, protocol});
  } else {
    append(covered, {0, protocol});
    put16(covered, length);
  }
  return covered;
}

Bytes transport(const FrameSpec& spec, const Bytes& from, const Bytes& to) {
  const bool tcp = spec.protocol == 6;
  Bytes segment;
  put16(segment, spec.source_port);
  put16(segment, spec.destination_port);
  if (tcp) {
    const auto offset = static_cast<u8>((5 + spec.tcp_options.size() / 4) << 4);
    append(segment, {0, 0, 0, 1, 0, 0, 0, 2, offset, spec.tcp_flags, 0x20, 0, 0, 0, 0, 0});
    append(segment, spec.tcp_options);
  } else {
    put16(segment, 8 + spec.payload);
    put16(segment, 0);
  }
  for (u32 i = 0; i < spec.payload; ++i) segment.push_back(static_cast<u8>('a' + i % 26));

  Bytes covered = pseudo_header(from, to, spec.protocol, segment.size());
  append(covered, segment);
  u16 checksum = internet_checksum(covered);
  if (!tcp && checksum == 0) checksum = 0xffff;
  set16(segment, tcp ? 16 : 6, checksum);
  return segment;
}

}  // namespace

u16 internet_checksum(const Bytes& bytes) {
  u32 sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += static_cast<u32>(bytes[i]) << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0U);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(~sum);
}

Bytes make_frame(const FrameSpec& spec) {
  return make_datagram(spec, transport(spec, address(spec.source), address(spec.destination)));
}

Bytes make_icmp(FrameSpec spec, u8 type, u8 code, const Bytes& body) {
  const Bytes from = address(spec.source);
  const bool v6 = from.size() == 16;
  spec.protocol = v6 ? 58 : 1;
  Bytes message = {type, code, 0, 0};
  append(message, body);
  Bytes covered = v6 ? pseudo_header(from, address(spec.destination), 58, message.size()) : Bytes{};
  append(covered, message);
  set16(message, 2, internet_checksum(covered));
  return make_datagram(spec, message);
}

Bytes datagram_of(const Bytes& frame, std::size_t vlans, std::size_t most) {
  const std::size_t start = 14 + 4 * vlans;
  return {frame.begin() + static_cast<long>(start),
          frame.begin() + static_cast<long>(std::min(frame.size(), start + most))};
}

Bytes make_datagram(const FrameSpec& spec, const Bytes& segment) {
  const Bytes from = address(spec.source);
  const Bytes to = address(spec.destination);
  const bool v6 = from.size() == 16;

  Bytes frame = spec.destination_mac;
  append(frame, spec.source_mac);
  for (std::size_t i = 0; i < spec.vlans.size(); ++i) {
    put16(frame, i + 1 < spec.vlans.size() ? 0x88a8 : 0x8100);
    put16(frame, spec.vlans[i]);
  }
  put16(frame, v6 ? 0x86dd : 0x0800);

  Bytes ip;
  if (v6) {
    append(ip, {static_cast<u8>(0x60 | spec.traffic_class >> 4), static_cast<u8>(spec.traffic_class << 4), 0, 0});
    put16(ip, static_cast<u32>(spec.extensions.size() + segment.size()));
    append(ip, {spec.extensions.empty() ? spec.protocol : spec.first_extension, spec.ttl});
    append(ip, from);
    append(ip, to);
    append(ip, spec.extensions);
  } else {
    const auto header = static_cast<u32>(20 + spec.ipv4_options.size());
    append(ip, {static_cast<u8>(0x40 | header / 4), spec.traffic_class});
    put16(ip, static_cast<u32>(header + segment.size()));
    put16(ip, 0x1234);
    put16(ip, spec.fragment);
    append(ip, {spec.ttl, spec.protocol, 0, 0});
    append(ip, from);
    append(ip, to);
    append(ip, spec.ipv4_options);
    set16(ip, 10, internet_checksum(ip));
  }
  append(frame, ip);
  append(frame, segment);
  return frame;
}

}  // namespace weir::testing

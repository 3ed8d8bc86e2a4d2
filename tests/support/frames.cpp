// SPDX-License-Identifier: Apache-2.0
#include "tests/support/frames.hpp"

#include <arpa/inet.h>

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

Bytes transport(const FrameSpec& spec, const Bytes& from, const Bytes& to) {
  const bool tcp = spec.protocol == 6;
  Bytes segment;
  put16(segment, spec.source_port);
  put16(segment, spec.destination_port);
  if (tcp) {
    append(segment, {0, 0, 0, 1, 0, 0, 0, 2, 0x50, spec.tcp_flags, 0x20, 0, 0, 0, 0, 0});
  } else {
    put16(segment, 8 + spec.payload);
    put16(segment, 0);
  }
  for (u32 i = 0; i < spec.payload; ++i) segment.push_back(static_cast<u8>('a' + i % 26));

  Bytes covered = from;
  append(covered, to);
  const auto length = static_cast<u32>(segment.size());
  if (from.size() == 16) {
    put16(covered, length >> 16);
    put16(covered, length);
    append(covered, {0, 0, 0, spec.protocol});
  } else {
    append(covered, {0, spec.protocol});
    put16(covered, length);
  }
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
  const Bytes from = address(spec.source);
  const Bytes to = address(spec.destination);
  const bool v6 = from.size() == 16;
  const Bytes segment = transport(spec, from, to);

  Bytes frame = spec.destination_mac;
  append(frame, spec.source_mac);
  for (std::size_t i = 0; i < spec.vlans.size(); ++i) {
    put16(frame, i + 1 < spec.vlans.size() ? 0x88a8 : 0x8100);
    put16(frame, spec.vlans[i]);
  }
  put16(frame, v6 ? 0x86dd : 0x0800);

  Bytes ip;
  if (v6) {
    append(ip, {0x60, 0, 0, 0});
    put16(ip, static_cast<u32>(spec.extensions.size() + segment.size()));
    append(ip, {spec.extensions.empty() ? spec.protocol : spec.first_extension, spec.ttl});
    append(ip, from);
    append(ip, to);
    append(ip, spec.extensions);
  } else {
    const auto header = static_cast<u32>(20 + spec.ipv4_options.size());
    append(ip, {static_cast<u8>(0x40 | header / 4), 0});
    put16(ip, static_cast<u32>(header + segment.size()));
    append(ip, {0x12, 0x34, 0x40, 0, spec.ttl, spec.protocol, 0, 0});
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

// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/packets.hpp"

#include <fmt/format.h>

#include <iterator>

namespace weir::testing {
namespace {

u64 below(Random& random, u64 bound) { return random() % bound; }

template <class T, std::size_t N>
const T& one_of(Random& random, const T (&choices)[N]) {
  return choices[below(random, N)];
}

constexpr const char* destinations4[] = {"203.0.113.10", "203.0.113.20", "203.0.113.30",
                                         "203.0.113.40", "203.0.113.50", "192.0.2.77"};
constexpr const char* destinations6[] = {"2001:db8:f::10", "2001:db8:f::20", "2001:db8:f::30",
                                         "2001:db8:f::40", "2001:db8:f::50", "2001:db8::77"};
constexpr u16 ports[] = {80, 53, 443, 0, 65535};

/// The bed's answers: from a backend in mode nat to clients with a route, without a neighbour, without a route.
constexpr const char* clients4[] = {"198.18.3.4", "198.19.3.4", "192.0.2.9", "203.0.113.10"};
constexpr const char* clients6[] = {"2001:db8:1::9", "2001:db8:2::9", "2001:db8:3::9", "2001:db8:f::10"};

FrameSpec random_spec(Random& random) {
  FrameSpec spec;
  const bool v6 = below(random, 2) != 0;
  const bool answer = below(random, 4) == 0;
  const u64 n = random();
  if (answer) {
    spec.source = fmt::format(fmt::runtime(v6 ? "2001:db8:b::{}" : "198.51.100.{}"), 1 + n % 5);
    spec.destination = v6 ? one_of(random, clients6) : one_of(random, clients4);
    spec.source_port = below(random, 8) ? (below(random, 2) ? 8080 : 5353) : 9;
    spec.destination_port = static_cast<u16>(random());
  } else {
    spec.source = v6 ? fmt::format("2001:db8:1:{:x}::{:x}", n & 0xffff, n >> 16 & 0xffff)
                     : fmt::format("198.18.{}.{}", n & 0xff, n >> 8 & 0xff);
    spec.destination = v6 ? one_of(random, destinations6) : one_of(random, destinations4);
    spec.source_port = static_cast<u16>(random());
    spec.destination_port = one_of(random, ports);
  }
  spec.protocol = below(random, 3) == 0 ? 17 : 6;
  spec.tcp_flags = static_cast<u8>(random());
  spec.ttl = below(random, 8) ? 64 : static_cast<u8>(below(random, 3));
  spec.payload = static_cast<u32>(below(random, 64));
  for (u64 i = below(random, 6); i < 3; ++i) spec.vlans.push_back(static_cast<u16>(below(random, 4095)));
  if (!v6 && below(random, 5) == 0) spec.ipv4_options.assign(4 * (1 + below(random, 10)), 1);
  return spec;
}

/// `count` extension headers of the given types in turn, the last one leading to `last`.
Bytes chain(u32 count, const std::vector<u8>& types, u8 last, u8 length = 0) {
  Bytes bytes;
  for (u32 i = 0; i < count; ++i) {
    const u8 type = types[i % types.size()];
    const u8 next = i + 1 < count ? types[(i + 1) % types.size()] : last;
    // A fragment header (44) has no length; an authentication header (51) counts 4-byte units beyond the first two.
    const u32 size = type == 44 ? 8U : type == 51 ? (length + 2U) * 4U : (length + 1U) * 8U;
    Bytes header(size, 0);
    header[0] = next;
    header[1] = type == 44 ? 0 : length;
    bytes.insert(bytes.end(), header.begin(), header.end());
  }
  return bytes;
}

void add_cuts(std::vector<Bytes>& out, const Bytes& frame) {
  for (std::size_t n = 14; n <= frame.size(); ++n)
    out.emplace_back(frame.begin(), frame.begin() + static_cast<long>(n));
}

void add_byte_values(std::vector<Bytes>& out, Bytes frame, std::size_t at) {
  if (at >= frame.size()) return;
  for (u32 value = 0; value < 256; ++value) {
    frame[at] = static_cast<u8>(value);
    out.push_back(frame);
  }
}

}  // namespace

std::vector<Bytes> sound_frames() {
  std::vector<Bytes> frames;
  for (const bool v6 : {false, true})
    for (const u8 protocol : {u8{6}, u8{17}})
      for (u32 vlans = 0; vlans <= 3; ++vlans) {
        const std::vector<u16> tags(vlans, 100);
        for (u32 i = 0; i < std::size(destinations4); ++i)
          frames.push_back(make_frame({.source = v6 ? "2001:db8:1::7" : "198.18.0.7",
                                       .destination = v6 ? destinations6[i] : destinations4[i],
                                       .destination_port = static_cast<u16>(protocol == 6 ? 80 : 53),
                                       .protocol = protocol,
                                       .vlans = tags}));
        for (u32 i = 0; i < std::size(clients4); ++i)
          frames.push_back(make_frame({.source = v6 ? "2001:db8:b::1" : "198.51.100.1",
                                       .destination = v6 ? clients6[i] : clients4[i],
                                       .source_port = static_cast<u16>(protocol == 6 ? 8080 : 5353),
                                       .protocol = protocol,
                                       .vlans = tags}));
      }
  return frames;
}

std::vector<Bytes> boundary_frames() {
  std::vector<Bytes> frames;
  for (const Bytes& frame : sound_frames()) {
    add_cuts(frames, frame);
    // Every value of every byte that steers the parser, wherever VLAN tags have put it: EtherType to transport header.
    for (std::size_t at = 0; at < 6; ++at) add_byte_values(frames, frame, at);
  }
  for (const bool v6 : {false, true})
    for (const u8 protocol : {u8{6}, u8{17}})
      for (const char* destination : {"203.0.113.10", "203.0.113.20", "192.0.2.77"}) {
        FrameSpec spec{.source = v6 ? "2001:db8:1::7" : "198.18.0.7",
                       .destination = v6 ? (destination[0] == '1' ? "2001:db8::77" : "2001:db8:f::10") : destination,
                       .destination_port = static_cast<u16>(protocol == 6 ? 80 : 53),
                       .protocol = protocol};
        const Bytes plain = make_frame(spec);
        for (std::size_t at = 12; at < plain.size() - 20; ++at) add_byte_values(frames, plain, at);
        Bytes padded = plain;
        padded.resize(padded.size() + 40, 0xee);
        for (std::size_t at = 14; at < 24; ++at) add_byte_values(frames, padded, at);
        spec.ipv4_options.assign(40, 1);
        if (!v6) add_cuts(frames, make_frame(spec));
        if (!v6) continue;
        for (const std::vector<u8>& types :
             {std::vector<u8>{0}, {43}, {44}, {51}, {60}, {135}, {0, 60, 43, 44, 51, 60}})
          for (u32 count = 1; count <= 12; ++count) {
            spec.extensions = chain(count, types, protocol, static_cast<u8>(count % 3));
            spec.first_extension = types[0];
            const Bytes chained = make_frame(spec);
            add_cuts(frames, chained);
            for (std::size_t at = 54; at < 60; ++at) add_byte_values(frames, chained, at);
          }
      }
  return frames;
}

Bytes random_frame(Random& random) {
  FrameSpec spec = random_spec(random);
  const bool v6 = spec.source.find(':') != std::string::npos;
  if (v6 && below(random, 4) == 0) {
    std::vector<u8> types;
    constexpr u8 known[] = {0, 43, 44, 51, 60, 135};
    for (u64 i = 1 + below(random, 10); i > 0; --i) types.push_back(one_of(random, known));
    spec.extensions = chain(static_cast<u32>(types.size()), types, spec.protocol, static_cast<u8>(below(random, 3)));
    spec.first_extension = types[0];
  }
  Bytes frame = make_frame(spec);
  switch (below(random, 6)) {
    case 0:  // cut
      frame.resize(14 + below(random, frame.size() - 13));
      break;
    case 1:  // pad
      frame.resize(frame.size() + below(random, 64), static_cast<u8>(random()));
      break;
    case 2:
    case 3:  // damage
      for (u64 i = 1 + below(random, 4); i > 0; --i)
        frame[below(random, std::min<u64>(frame.size(), 90))] = static_cast<u8>(random());
      break;
    case 4:  // a boundary value somewhere
      frame[below(random, std::min<u64>(frame.size(), 90))] ^= static_cast<u8>(1U << below(random, 8));
      break;
    default:
      break;
  }
  return frame;
}

}  // namespace weir::testing

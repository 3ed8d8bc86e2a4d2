// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tests/differential/packets.hpp"

namespace weir::testing {
namespace {

u64 below(Random& random, u64 bound) { return random() % bound; }
bool one_in(Random& random, u64 n) { return below(random, n) == 0; }

template <class T, std::size_t N>
const T& one_of(Random& random, const T (&choices)[N]) {
  return choices[below(random, N)];
}

constexpr const char* vips[] = {"10", "10", "20", "30", "40", "50", "60", "60", "61", "61", "70", "71", "80", "81"};
constexpr const char* outside4 = "192.0.2.77";
constexpr const char* outside6 = "2001:db8::77";
constexpr u16 ports[] = {80, 53, 443, 0, 65535};
constexpr const char* clients4[] = {"198.18.3.4", "198.18.200.4", "198.19.3.4", "192.0.2.9", "203.0.113.10"};
constexpr const char* clients6[] = {"2001:db8:1::9", "2001:db8:1:9000::9", "2001:db8:2::9", "2001:db8:3::9",
                                    "2001:db8:f::10"};
constexpr const char* martians4[] = {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "223.0.0.1"};
constexpr const char* martians6[] = {"::", "::1", "::2", "ff02::1", "fe80::1"};

/// A SYN's options, in an order and with lengths that may be wrong.
Bytes tcp_options(Random& random) {
  Bytes options;
  for (u64 i = below(random, 5); i > 0; --i) options.push_back(1);
  if (!one_in(random, 4))
    for (const u64 byte : {u64{2}, u64{4}, below(random, 8), below(random, 256)})
      options.push_back(static_cast<u8>(byte));
  const Bytes others = {3, 3, 7, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
  options.insert(options.end(), others.begin(), others.end());
  if (one_in(random, 3)) std::rotate(options.begin(), options.begin() + 4, options.end());
  options.resize(4 * below(random, 11));
  return options;
}

/// The direction, the endpoints and the length; all else as it is in a plain packet.
FrameSpec endpoints(Random& random, bool v6, bool answer) {
  FrameSpec spec;
  const u64 n = random();
  spec.protocol = one_in(random, 3) ? 17 : 6;
  const bool tcp = spec.protocol == 6;
  if (answer) {
    const u32 net = one_in(random, 3) ? 101 : 100;
    spec.source = fmt::format(fmt::runtime(v6 ? "2001:db8:b:{}::{}" : "198.51.{}.{}"), net, 1 + n % 5);
    spec.destination = v6 ? one_of(random, clients6) : one_of(random, clients4);
    spec.source_port = one_in(random, 8) ? 9 : !tcp ? 5353 : one_in(random, 2) ? 8443 : 8080;
    spec.destination_port = static_cast<u16>(random());
  } else {
    spec.source = v6 ? fmt::format("2001:db8:1:{:x}::{:x}", n & 0xffff, n >> 16 & 0xffff)
                     : fmt::format("198.18.{}.{}", n & 0xff, n >> 8 & 0xff);
    spec.destination = fmt::format("{}{}", v6 ? "2001:db8:f::" : "203.0.113.", one_of(random, vips));
    if (one_in(random, 12)) spec.destination = v6 ? outside6 : outside4;
    spec.source_port = static_cast<u16>(random());
    spec.destination_port = one_in(random, 3) ? one_of(random, ports) : tcp ? 80 : 53;
    if (one_in(random, 24)) spec.source = v6 ? one_of(random, martians6) : one_of(random, martians4);
    if (one_in(random, 200)) spec.source = spec.destination;
  }
  spec.payload = static_cast<u32>(below(random, one_in(random, 6) ? 1500 : 64));
  return spec;
}

void vary(Random& random, FrameSpec& spec, bool v6) {
  spec.tcp_flags = static_cast<u8>(random());
  spec.ttl = one_in(random, 8) ? static_cast<u8>(below(random, 3)) : 64;
  spec.traffic_class = one_in(random, 2) ? 0 : static_cast<u8>(random());
  for (u64 i = below(random, 6); i < 3; ++i) spec.vlans.push_back(static_cast<u16>(below(random, 4095)));
  if (spec.protocol == 6 && one_in(random, 3)) spec.tcp_options = tcp_options(random);
  if (!v6) {
    if (one_in(random, 5)) spec.ipv4_options.assign(4 * (1 + below(random, 10)), 1);
    if (one_in(random, 8)) spec.fragment = one_in(random, 2) ? 0x2000 : static_cast<u16>(random());
  } else if (one_in(random, 4)) {
    std::vector<u8> types;
    constexpr u8 known[] = {0, 43, 44, 51, 60, 135};
    for (u64 i = 1 + below(random, 10); i > 0; --i) types.push_back(one_of(random, known));
    spec.extensions = chain(static_cast<u32>(types.size()), types, spec.protocol, static_cast<u8>(below(random, 3)));
    spec.first_extension = types[0];
    if (types[0] == 44 && !one_in(random, 3)) {  // of which datagram it is a part
      spec.extensions[2] = one_in(random, 2) ? 0 : static_cast<u8>(random());
      spec.extensions[3] = static_cast<u8>(random());
    }
  }
}

/// A control message to one end of the flow of `spec`: an error about its answer or about itself, an echo, or any.
Bytes control(Random& random, FrameSpec spec, bool v6) {
  if (one_in(random, 4)) {
    const u8 type = one_in(random, 2) ? (v6 ? 128 : 8) : static_cast<u8>(random());
    return make_icmp(spec, type, static_cast<u8>(below(random, 2)), Bytes(4 + below(random, 60), 0x5a));
  }
  // To the VIP about what it has sent, or to a client about what the client has sent to a backend.
  std::swap(spec.source, spec.destination);
  std::swap(spec.source_port, spec.destination_port);
  constexpr u8 errors4[] = {3, 11, 12, 5};
  constexpr u8 errors6[] = {1, 2, 3, 4, 5};
  const u8 type = v6 ? one_of(random, errors6) : one_of(random, errors4);
  const std::size_t least = v6 ? 40 : 20;
  const std::size_t most = one_in(random, 3) ? 1500 : least + below(random, 40);
  return error_about(spec, type, static_cast<u8>(below(random, 6)), most, spec.vlans);
}

void damage(Random& random, Bytes& frame) {
  const u64 headers = std::min<u64>(frame.size(), 130);
  switch (below(random, 8)) {
    case 0:  // cut
      frame.resize(14 + below(random, frame.size() - 13));
      break;
    case 1:  // pad
      frame.resize(frame.size() + below(random, 64), static_cast<u8>(random()));
      break;
    case 2:
      for (u64 i = 1 + below(random, 4); i > 0; --i) frame[below(random, headers)] = static_cast<u8>(random());
      break;
    case 3:  // a boundary value somewhere
      frame[below(random, headers)] ^= static_cast<u8>(1U << below(random, 8));
      break;
    default:
      break;
  }
}

}  // namespace

Bytes random_frame(Random& random) {
  const bool v6 = one_in(random, 2);
  const bool answer = one_in(random, 4);
  FrameSpec spec = endpoints(random, v6, answer);
  vary(random, spec, v6);
  Bytes frame = one_in(random, 4) ? control(random, spec, v6) : make_frame(spec);
  damage(random, frame);
  return frame;
}

}  // namespace weir::testing

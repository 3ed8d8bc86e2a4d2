// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/packets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace weir::testing {
namespace {

constexpr const char* vips[] = {"10", "20", "30", "40", "50", "60", "61", "70", "71", "80", "81"};

/// The bed's answers: from a backend in mode nat to clients with a route, without a neighbour, without a route.
constexpr const char* clients4[] = {"198.18.3.4", "198.18.200.4", "198.19.3.4", "192.0.2.9", "203.0.113.10"};
constexpr const char* clients6[] = {"2001:db8:1::9", "2001:db8:1:9000::9", "2001:db8:2::9", "2001:db8:3::9",
                                    "2001:db8:f::10"};

std::string vip(bool v6, const std::string& host) { return (v6 ? "2001:db8:f::" : "203.0.113.") + host; }

FrameSpec to_vip(bool v6, u8 protocol, const std::string& host) {
  return {.source = v6 ? "2001:db8:1::7" : "198.18.0.7",
          .destination = vip(v6, host),
          .destination_port = static_cast<u16>(protocol == 6 ? (host == "40" ? 443 : 80) : 53),
          .protocol = protocol};
}
FrameSpec from_backend(bool v6, u8 protocol, const char* client, bool every_port = false) {
  return {.source = fmt::format(fmt::runtime(v6 ? "2001:db8:b:{}::1" : "198.51.{}.1"), every_port ? 101 : 100),
          .destination = client,
          .source_port = static_cast<u16>(protocol == 6 ? 8080 : 5353),
          .protocol = protocol};
}
/// What the receiver of `spec` sends back.
FrameSpec reversed(FrameSpec spec) {
  std::swap(spec.source, spec.destination);
  std::swap(spec.source_port, spec.destination_port);
  return spec;
}

void add_cuts(std::vector<Bytes>& out, const Bytes& frame) {
  // Of a long frame the headers and the end: between them nothing is looked at.
  for (std::size_t n = 14; n <= frame.size(); ++n)
    if (n < 130 || n + 40 > frame.size()) out.emplace_back(frame.begin(), frame.begin() + static_cast<long>(n));
}

void add_byte_values(std::vector<Bytes>& out, Bytes frame, std::size_t at) {
  if (at >= frame.size()) return;
  for (u32 value = 0; value < 256; ++value) {
    frame[at] = static_cast<u8>(value);
    out.push_back(frame);
  }
}

void add_flows(std::vector<Bytes>& frames, bool v6, u8 protocol, const std::vector<u16>& tags) {
  for (const char* host : vips) {
    FrameSpec spec = to_vip(v6, protocol, host);
    spec.vlans = tags;
    frames.push_back(make_frame(spec));
    spec.payload = 1420;
    frames.push_back(make_frame(spec));
    spec.payload = 400;
    spec.traffic_class = 0xb9;
    spec.tcp_flags = 0x02;
    spec.tcp_options = {1, 2, 4, 5, 0xb4, 3, 3, 7};
    frames.push_back(make_frame(spec));
    if (v6) continue;
    for (const u16 fragment : {u16{0x2000}, u16{0x2001}, u16{0x00b9}}) {
      spec.fragment = fragment;
      frames.push_back(make_frame(spec));
    }
  }
  for (u32 i = 0; i < std::size(clients4); ++i)
    for (const bool every_port : {false, true})
      for (const u32 payload : {26U, 1200U, 1440U}) {
        FrameSpec spec = from_backend(v6, protocol, v6 ? clients6[i] : clients4[i], every_port);
        spec.vlans = tags;
        spec.payload = payload;
        frames.push_back(make_frame(spec));
      }
}

void add_control(std::vector<Bytes>& frames, bool v6, u8 protocol, const std::vector<u16>& tags) {
  const u8 unreachable = v6 ? 1 : 3;
  for (const char* host : vips) {
    const FrameSpec about = reversed(to_vip(v6, protocol, host));
    for (const std::size_t most : {v6 ? 48U : 28U, 576U})
      frames.push_back(error_about(about, unreachable, 4, most, tags));
    FrameSpec echo = to_vip(v6, protocol, host);
    echo.vlans = tags;
    for (const int type : {v6 ? 128 : 8, v6 ? 129 : 0, v6 ? 135 : 13})
      frames.push_back(make_icmp(echo, static_cast<u8>(type), 0, {0, 1, 0, 2, 'w', 'e', 'i', 'r'}));
  }
  for (u32 i = 0; i < std::size(clients4); ++i)
    for (const bool every_port : {false, true})
      frames.push_back(error_about(reversed(from_backend(v6, protocol, v6 ? clients6[i] : clients4[i], every_port)),
                                   unreachable, 3, 576, tags));
}

void add_extensions(std::vector<Bytes>& frames, FrameSpec spec) {
  for (const std::vector<u8>& types : {std::vector<u8>{0}, {43}, {44}, {51}, {60}, {135}, {0, 60, 43, 44, 51, 60}})
    for (u32 count = 1; count <= 12; ++count) {
      spec.extensions = chain(count, types, spec.protocol, static_cast<u8>(count % 3));
      spec.first_extension = types[0];
      const Bytes chained = make_frame(spec);
      add_cuts(frames, chained);
      for (std::size_t at = 54; at < 60; ++at) add_byte_values(frames, chained, at);
    }
}

/// Every value of every byte of the headers.
void add_header_values(std::vector<Bytes>& frames, const Bytes& frame, std::size_t end) {
  for (std::size_t at = 12; at < std::min(frame.size(), end); ++at) add_byte_values(frames, frame, at);
}

}  // namespace

Bytes error_about(const FrameSpec& about, u8 type, u8 code, std::size_t most, const std::vector<u16>& vlans) {
  const bool v6 = about.source.find(':') != std::string::npos;
  Bytes body = {0, 0, 5, 0};
  const Bytes quote = datagram_of(make_frame(about), about.vlans.size(), most);
  body.insert(body.end(), quote.begin(), quote.end());
  return make_icmp({.source = v6 ? "2001:db8:9::9" : "192.0.2.33", .destination = about.source, .vlans = vlans}, type,
                   code, body);
}

Bytes chain(u32 count, const std::vector<u8>& types, u8 last, u8 length) {
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

std::vector<Bytes> sound_frames() {
  std::vector<Bytes> frames;
  for (const bool v6 : {false, true})
    for (const u8 protocol : {u8{6}, u8{17}})
      for (u32 vlans = 0; vlans <= 3; ++vlans) {
        const std::vector<u16> tags(vlans, 100);
        add_flows(frames, v6, protocol, tags);
        add_control(frames, v6, protocol, tags);
      }
  return frames;
}

std::vector<Bytes> boundary_frames() {
  std::vector<Bytes> frames;
  for (const Bytes& frame : sound_frames()) add_cuts(frames, frame);
  for (const bool v6 : {false, true})
    for (const u8 protocol : {u8{6}, u8{17}}) {
      for (std::size_t at = 0; at < 6; ++at) add_byte_values(frames, make_frame(to_vip(v6, protocol, "10")), at);
      const std::size_t headers = v6 ? 54 : 34;
      for (const char* host : {"10", "30", "71"}) {
        FrameSpec spec = to_vip(v6, protocol, host);
        const Bytes plain = make_frame(spec);
        add_header_values(frames, plain, plain.size() - 20);
        // Control messages: the outer and the quoted IP header differ from those above in their place only.
        const Bytes error = error_about(reversed(spec), v6 ? 2 : 3, v6 ? 0 : 4, 576);
        add_header_values(frames, error, headers + 8 + headers);
        Bytes padded = plain;
        padded.resize(padded.size() + 40, 0xee);
        for (std::size_t at = 14; at < 24; ++at) add_byte_values(frames, padded, at);
        if (v6) {
          add_extensions(frames, spec);
        } else {
          spec.ipv4_options.assign(40, 1);
          add_cuts(frames, make_frame(spec));
          spec.ipv4_options.clear();
        }
        spec.tcp_flags = 0x02;
        spec.tcp_options = {1, 2, 4, 5, 0xb4, 3, 3, 7};
        const Bytes syn = make_frame(spec);
        for (std::size_t at = headers + 12; at < headers + 28; ++at) add_byte_values(frames, syn, at);
      }
      for (const char* host : {"10", "40"}) {
        const Bytes echo = make_icmp(to_vip(v6, protocol, host), v6 ? 128 : 8, 0, {0, 1, 0, 2});
        add_header_values(frames, echo, echo.size());
      }
      const FrameSpec answer = from_backend(v6, protocol, v6 ? clients6[0] : clients4[0]);
      const Bytes returned = error_about(reversed(answer), v6 ? 1 : 3, 3, 576);
      add_header_values(frames, returned, headers + 8 + headers);
    }
  return frames;
}

}  // namespace weir::testing

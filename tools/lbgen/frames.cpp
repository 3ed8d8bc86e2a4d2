// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/frames.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "dataplane/core/checksum.hpp"

namespace weir::lbgen {
namespace {

using bpf::GenerateKind;

constexpr u8 hops = 64;
constexpr u16 window = 64240;
constexpr u8 tcp_push = 0x08;
constexpr u8 option_mss[4] = {2, 4, 0x05, 0xb4};   // RFC 9293, 3.7.1: 1460 bytes, an Ethernet of 1500 with IPv4
constexpr u8 option_mss6[4] = {2, 4, 0x05, 0xa0};  // 1440 bytes

/// Sum of 16-bit words as they lie in memory; an odd byte at the end is followed by a zero (RFC 1071).
u32 sum_words(std::span<const u8> bytes) {
  u32 sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += u32{bytes[i]} << (i % 2 == 0 ? 0 : 8);
  return fold(sum);
}

template <class Header>
void put(std::vector<u8>& frame, std::size_t at, const Header& header) {
  std::memcpy(frame.data() + at, &header, sizeof header);
}

void put_mac(std::vector<u8>& frame, std::size_t at, MacBits mac) {
  for (u32 i = 0; i < 6; ++i) frame[at + i] = static_cast<u8>(mac >> (8 * i));
}

u8 flags_of(GenerateKind kind) {
  if (kind == GenerateKind::syn) return tcp_syn;
  return kind == GenerateKind::data ? tcp_ack | tcp_push : tcp_ack;
}

void put_transport(std::vector<u8>& frame, std::size_t at, const Order& order, GenerateKind kind, u32 payload) {
  const Be16 port = to_be(order.to.port);
  if (kind == GenerateKind::udp) {
    put(frame, at, Udp{.destination = port, .length = to_be(static_cast<u16>(sizeof(Udp) + payload))});
    return;
  }
  const bool syn = kind == GenerateKind::syn;
  Tcp tcp{.destination = port,
          .acknowledgment = to_be(syn ? 0U : 1U),
          .data_offset = syn ? u8{0x60} : u8{0x50},
          .flags = flags_of(kind),
          .window = to_be(window)};
  put(frame, at, tcp);
  if (syn) std::memcpy(frame.data() + at + sizeof tcp, is_v4(order.to.address) ? option_mss : option_mss6, 4);
}

}  // namespace

u32 header_length(bool v6, GenerateKind kind) {
  const std::size_t network = v6 ? sizeof(Ipv6) : sizeof(Ipv4);
  const std::size_t transport = kind == GenerateKind::udp ? sizeof(Udp) : sizeof(Tcp);
  const std::size_t option = kind == GenerateKind::syn ? bpf::generate_option : 0;
  return static_cast<u32>(sizeof(Ethernet) + network + transport + option);
}

bpf::GenerateTemplate make_template(const Order& order, GenerateKind kind, std::span<const u8> payload) {
  const bool v6 = !is_v4(order.to.address);
  const u32 headers = header_length(v6, kind);
  const u32 bytes = static_cast<u32>(payload.size());
  constexpr std::size_t network = sizeof(Ethernet);
  const std::size_t transport = network + (v6 ? sizeof(Ipv6) : sizeof(Ipv4));
  const u8 protocol = static_cast<u8>(kind == GenerateKind::udp ? Protocol::udp : Protocol::tcp);
  const u32 length = std::max(headers + bytes, bpf::generate_shortest);
  std::vector<u8> frame(std::max(length, bpf::generate_head));

  put_mac(frame, 0, order.destination_mac);
  put_mac(frame, 6, order.source_mac);
  put(frame, 12, v6 ? ether_type::ipv6 : ether_type::ipv4);
  const u32* source = order.from.address.word;
  const u32* destination = order.to.address.word;
  bpf::GenerateTemplate made{.length = length, .payload_at = headers, .payload = bytes};
  if (v6) {
    Ipv6 ip{.version_class_label = to_be(u32{6} << 28),
            .payload_length = to_be(static_cast<u16>(headers - transport + bytes)),
            .next_header = protocol,
            .hop_limit = hops};
    std::memcpy(ip.source, source, sizeof ip.source);
    std::memcpy(ip.destination, destination, sizeof ip.destination);
    put(frame, network, ip);
  } else {
    const Ipv4 ip{.version_ihl = 0x45,
                  .total_length = to_be(static_cast<u16>(headers - network + bytes)),
                  .fragment = to_be(ipv4_dont_fragment),
                  .ttl = hops,
                  .protocol = protocol,
                  .source = Be32{source[3]},
                  .destination = Be32{destination[3]}};
    put(frame, network, ip);
    made.network_sum = sum_words(std::span(frame).subspan(network, sizeof ip));
  }
  put_transport(frame, transport, order, kind, bytes);
  std::copy(payload.begin(), payload.end(), frame.begin() + headers);

  // Pseudo header: both addresses, the protocol and the length of what follows (RFC 9293, 3.1; RFC 8200, 8.1).
  const u32 segment = headers + bytes - static_cast<u32>(transport);
  const u8 protocol_and_length[4] = {0, protocol, static_cast<u8>(segment >> 8), static_cast<u8>(segment)};
  const std::size_t addresses = network + (v6 ? offsetof(Ipv6, source) : offsetof(Ipv4, source));
  made.transport_sum = fold(sum_words(std::span(frame).subspan(addresses, transport - addresses)) +
                            sum_words(protocol_and_length) + sum_words(std::span(frame).subspan(transport, segment)));
  std::copy_n(frame.begin(), bpf::generate_head, made.head);
  return made;
}

}  // namespace weir::lbgen

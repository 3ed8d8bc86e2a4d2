// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/plan.hpp"

#include <algorithm>
#include <span>

#include "control/model/text.hpp"
#include "tools/lbgen/frames.hpp"
#include "tools/lbgen/words.hpp"

namespace weir::lbgen {
namespace {

using bpf::GenerateKind;
using bpf::GenerateState;

constexpr u32 widest = 48;  // bits of an address that vary: with the port they are one number below 2^63
constexpr u64 endless = u64{1} << 63;

/// The next number of the sequence that starts with a seed (splitmix64).
u64 next_random(u64& state) {
  u64 x = state += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

u32 network_bits(const Ip& ip) { return is_v4(ip) ? 32 : 128; }

Result<> check(const Order& order) {
  const model::Prefix target{order.to.address, network_bits(order.to.address)};
  if (const std::string fault = range_fault(target); !fault.empty())
    return fail(Fault::refused, "--to {}: {}", model::to_text(order.to), fault);
  if (const std::string fault = range_fault(order.from); !fault.empty())
    return fail(Fault::refused, "--from {}: {}", model::to_text(order.from), fault);
  if (order.to.port == 0) return fail(Fault::invalid, "--to {}: port 0 is no port", model::to_text(order.to));
  if (is_v4(order.from.address) != is_v4(order.to.address))
    return fail(Fault::invalid, "--from {} and --to {} are of different families", model::to_text(order.from),
                model::to_text(order.to));
  if (holds(order.from, target))
    return fail(Fault::invalid, "--from {} contains the destination {}; name a prefix without it",
                model::to_text(order.from), model::to_text(order.to.address));
  if (order.first_port + (1U << bpf::generate_port_bits) > 65536)
    return fail(Fault::invalid, "--first-port {}: sources use {} ports from there on; at most {}", order.first_port,
                1U << bpf::generate_port_bits, 65536 - (1U << bpf::generate_port_bits));
  if (order.payload && order.size) return fail(Fault::invalid, "--payload and --size exclude each other");
  return {};
}

/// Payload of a kind, in bytes. Of flows the first two packets carry none, unless they are UDP.
Result<u32> payload_of(const Order& order, GenerateKind kind) {
  const bool bare = order.flows ? kind == GenerateKind::syn || kind == GenerateKind::ack : kind == GenerateKind::ack;
  if (bare) return 0;
  u32 payload = order.payload.value_or(0);
  if (order.size) {
    const u32 headers = header_length(!is_v4(order.to.address), kind);
    const u32 least = std::max(headers, bpf::generate_shortest);
    if (*order.size < least)
      return fail(Fault::invalid, "--size {}: a frame of this kind has {} bytes at least", *order.size, least);
    // The shortest frames are longer than their headers by padding alone.
    payload = *order.size == bpf::generate_shortest ? 0 : *order.size - headers;
  }
  if (payload > bpf::generate_payload)
    return fail(Fault::invalid, "a payload of {} bytes is too long; {} at most", payload, bpf::generate_payload);
  return payload;
}

bool in_use(const Order& order, GenerateKind kind, u32 payload) {
  if (kind == GenerateKind::udp) return order.udp > 0;
  if (order.udp == 100) return false;
  return kind == GenerateKind::syn || (order.flows && (kind == GenerateKind::ack || payload > 0));
}

}  // namespace

Result<GenerateState> plan(const Order& order) {
  if (auto good = check(order); !good) return tl::unexpected(good.error());
  GenerateState state{};
  u64 random = order.seed;
  for (u32 i = 0; i < bpf::generate_payload; ++i) state.payload[i] = static_cast<u8>(i);

  auto& plan = state.plan;
  plan.address_bits = std::min(network_bits(order.from.address) - order.from.length, widest);
  plan.place_bits = plan.address_bits + bpf::generate_port_bits;
  if (order.flows && *order.flows > u64{1} << plan.place_bits)
    return fail(Fault::invalid, "--flows {}: --from {} with {} ports has no more than {}", *order.flows,
                model::to_text(order.from), 1U << bpf::generate_port_bits, u64{1} << plan.place_bits);
  plan.flows = order.flows.value_or(endless);
  plan.stride = 1;
  for (u64& multiplier : plan.multiplier) multiplier = next_random(random) | 1;
  plan.offset = next_random(random) >> 1;
  plan.mark = next_random(random) | 1;
  plan.udp = (u64{order.udp} << 32) / 100;
  plan.random = order.random;
  plan.family = is_v4(order.to.address) ? 4 : 6;
  plan.first_port = order.first_port;
  for (u32 i = 0; i < bpf::generate_kinds; ++i) {
    const auto kind = static_cast<GenerateKind>(i);
    const auto payload = payload_of(order, kind);
    const bool used = in_use(order, kind, payload.value_or(1));
    if (!used) continue;
    if (!payload) return tl::unexpected(payload.error());
    state.kinds[i] = make_template(order, kind, std::span(state.payload).first(*payload));
    plan.frame_length = std::max(plan.frame_length, state.kinds[i].length);
    if (kind == GenerateKind::data) plan.payload = *payload;
  }
  return state;
}

GenerateState share(const GenerateState& whole, u32 index, u32 count) {
  GenerateState part = whole;
  part.plan.stride = count;
  part.progress.first = part.progress.flow = index;
  return part;
}

}  // namespace weir::lbgen

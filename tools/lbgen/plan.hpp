// SPDX-License-Identifier: Apache-2.0
// What to send, as the operator says it, and the plan that the generating program follows.
#pragma once

#include <optional>
#include <vector>

#include "bpf/generate_layout.hpp"
#include "control/model/result.hpp"
#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::lbgen {

struct Order {
  model::Endpoint to;
  model::Prefix from;
  std::optional<u64> flows;    ///< absent: each packet is a flow of its own
  u32 udp = 0;                 ///< percent of the flows
  bool random = true;          ///< sources in an order that the seed makes; else one after the other
  std::optional<u32> payload;  ///< bytes behind the TCP or UDP header of packets that carry some
  std::optional<u32> size;     ///< instead: bytes of their frames, Ethernet header included, checksum not
  u16 first_port = 1024;       ///< sources use 32768 ports from here on
  u64 seed = 0;
  MacBits source_mac = 0;
  MacBits destination_mac = 0;
};

/// Frames of `order.to`'s family. Faults: invalid, refused (addresses outside the ranges for tests).
[[nodiscard]] Result<bpf::GenerateState> plan(const Order& order);

/// The share of worker `index` of `count`: every count-th flow.
[[nodiscard]] bpf::GenerateState share(const bpf::GenerateState& whole, u32 index, u32 count);

}  // namespace weir::lbgen

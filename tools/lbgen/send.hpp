// SPDX-License-Identifier: Apache-2.0
// Runs the generating program until a bound is reached, at a rate or as fast as it goes.
#pragma once

#include <array>
#include <optional>

#include "bpf/generate_layout.hpp"
#include "control/model/result.hpp"

namespace weir::lbgen {

struct Bounds {
  double seconds = 0;          ///< always holds
  std::optional<u64> packets;  ///< the first bound reached ends the run
  std::optional<u64> rate;     ///< packets per second; absent: as fast as possible
};

enum class Ended : u8 { packets, seconds, signal };

struct Sent {
  std::array<u64, bpf::generate_kinds> packets{};
  double seconds = 0;  ///< from the first frame to the last
  Ended ended = Ended::seconds;
  [[nodiscard]] u64 all() const { return packets[0] + packets[1] + packets[2] + packets[3]; }
};

/// Sends the plan out of an interface of this network namespace with `count` threads, each of its own flows.
/// Faults: internal.
[[nodiscard]] Result<Sent> send(const bpf::GenerateState& plan, const Bounds& bounds, u32 ifindex, u32 count);

}  // namespace weir::lbgen

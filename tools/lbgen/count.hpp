// SPDX-License-Identifier: Apache-2.0
// Counts what comes in on an interface until a bound is reached.
#pragma once

#include <functional>
#include <optional>

#include "bpf/count.hpp"
#include "control/model/result.hpp"
#include "tools/lbgen/send.hpp"

namespace weir::lbgen {

struct CountBounds {
  double seconds = 0;          ///< always holds, from the start
  std::optional<u64> packets;  ///< TCP and UDP; ends once so many have come, those that come meanwhile count too
  std::optional<double> idle;  ///< ends when some have come and then none for so many seconds
};

struct Received {
  bpf::Counted counted;
  Ended ended = Ended::seconds;
  bool idle = false;   ///< ended by CountBounds::idle
  bool native = true;  ///< whether the program ran in the driver
  double seconds = 0;  ///< from the first of them to the last, to the kernel's timer tick of 1 to 10 ms
};

/// `ready` is called once packets are counted. `drop`: TCP and UDP packets go no farther. Faults: internal.
[[nodiscard]] Result<Received> count(const std::string& interface, u32 ifindex, const CountBounds& bounds, bool drop,
                                     const std::function<void()>& ready);

}  // namespace weir::lbgen

// SPDX-License-Identifier: Apache-2.0
// Waiting for a backend to be drained or removed. lbd carries that out; here it is only asked how far it is.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "tools/lbctl/client.hpp"

namespace weir::lbctl {

struct DrainWait {
  std::string object;                                 ///< SERVICE/NAME
  std::optional<std::chrono::seconds> patience = {};  ///< how long to wait at most
  /// Of a drain that lbd has acknowledged just now, what was asked for.
  struct Order {
    std::chrono::steady_clock::time_point began;  ///< when it was asked
    std::optional<std::chrono::seconds> deadline;
    bool then_remove = false;
    bool force_after = false;
  };
  std::optional<Order> order = {};
};

/// How long after a drain's deadline lbd may take to say how it has ended.
constexpr std::chrono::milliseconds after_deadline{750};
constexpr std::chrono::milliseconds after_reset{2500};

/// Shows how the drain goes until it has ended. Ok: no flow remains, and if that was ordered the backend is removed.
/// Failures: timed_out (the drain's deadline has come, or `patience` is over), failed (the backend is not being
/// drained), and those of Waiting.
[[nodiscard]] Outcome<std::string> wait_drained(const Client& lbd, const DrainWait& wait);

/// Until lbd has no such backend, for whatever reason. Failures: timed_out, failed when there is no such service from
/// the start, and those of Waiting.
[[nodiscard]] Outcome<std::string> wait_removed(const Client& lbd, const std::string& object,
                                                std::optional<std::chrono::seconds> patience);

}  // namespace weir::lbctl

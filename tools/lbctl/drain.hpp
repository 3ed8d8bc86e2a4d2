// SPDX-License-Identifier: Apache-2.0
// Waiting for a backend to be drained. lbd carries the drain out; here it is only asked how far it is.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "tools/lbctl/client.hpp"

namespace weir::lbctl {

/// Asks lbd for the drain of `object` (SERVICE/NAME) until it has ended and prints how it goes. Ok: no flow remains.
/// Failures: timed_out (the drain's deadline has come, or `patience` is over), failed (the backend is not being
/// drained), and those of Client; lbd may be away for half a minute, so that it can be restarted.
[[nodiscard]] Outcome<std::string> wait_drained(const Client& lbd, const std::string& object,
                                                std::optional<std::chrono::seconds> patience);

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// How long a packet to a service may be, from what is known of the ways to its backends.
#pragma once

#include <optional>
#include <span>

#include "control/model/service.hpp"

namespace weir::daemon {

/// `mtu` as a table holds it, in bytes of IP; nothing where it holds 0, which is "unknown".
[[nodiscard]] std::optional<u32> known_mtu(u32 mtu);

/// The longest IP datagram in bytes that reaches every backend whose MTU is known; nothing when none is.
[[nodiscard]] std::optional<u32> effective_mtu(std::span<const std::optional<u32>> backends);

/// The payload in bytes of a TCP segment without options in a datagram of `mtu` bytes to the service's VIP, or the
/// service's configured MSS where that is less.
[[nodiscard]] std::optional<u32> effective_mss(const model::Service& service, std::optional<u32> mtu);

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
// Whether a backend's next hop is one that a mode can send to, in words for the operator when it is not.
#pragma once

#include "control/model/result.hpp"
#include "control/net/next_hop.hpp"

namespace weir::daemon {

/// How long a new backend's neighbour is waited for: the kernel asks three times, a second apart, before it gives up.
inline constexpr int resolve_timeout_ms = 4000;

/// `attached`: the hop's interface is one of `interfaces`. Faults: refused (--force overrides), invalid (never works).
[[nodiscard]] Result<> judge_hop(const Ip& backend, Mode mode, const net::NextHop& hop, bool attached);

}  // namespace weir::daemon

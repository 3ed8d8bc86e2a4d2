// SPDX-License-Identifier: Apache-2.0
// MTUs that no protocol copes with, in words for the operator.
#pragma once

#include <string>
#include <vector>

#include "control/net/next_hop.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::daemon {

inline constexpr u32 least_mtu4 = 576;   ///< bytes; what every IPv4 host takes (RFC 1122, 3.3.2)
inline constexpr u32 least_mtu6 = 1280;  ///< bytes; what every IPv6 link carries (RFC 8200, 5)

/// One line for each tunnel service with an IPv6 VIP whose clients' datagrams of 1280 bytes, which no client makes
/// shorter, do not fit on the way to a backend.
[[nodiscard]] std::vector<std::string> tunnel_mtu_warnings(const TableMemory& memory);

/// Empty unless the interface's MTU is below 576 bytes.
[[nodiscard]] std::string link_mtu_warning(const net::Link& link);

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
// The table of interfaces that the fast path is attached to.
#pragma once

#include <vector>

#include "dataplane/memory/table_memory.hpp"

namespace weir::table {

/// `mac` is what frames for this host carry; a packet meets the port from the moment that it has one.
void enter_port(TableMemory& memory, u32 ifindex, MacBits mac);
void leave_port(TableMemory& memory, u32 ifindex);

/// Interfaces in the table that are not in `wanted`: an earlier daemon's, or gone.
[[nodiscard]] std::vector<u32> stale_ports(const TableMemory& memory, const std::vector<u32>& wanted);

}  // namespace weir::table

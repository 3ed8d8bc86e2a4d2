// SPDX-License-Identifier: Apache-2.0
// Where the outer headers of tunnels get their addresses: from the settings into the globals of live tables.
#pragma once

#include "control/model/settings.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::table {

/// Prefixes become addresses without host bits, and masks of the host bits that the flow's hash fills; of IPv6's, those
/// in the last 32. An absent prefix is all zeroes. Pure.
[[nodiscard]] Tunnel tunnel_record(const model::Tunnel& tunnel);

/// Makes the fast path use `tunnel`, in one store. Writes nothing when it does so already. Waits `rest_time` where the
/// record that is to be written was in use before: a packet may still be read from it.
void write_tunnel(TableMemory& memory, const model::Tunnel& tunnel);

}  // namespace weir::table

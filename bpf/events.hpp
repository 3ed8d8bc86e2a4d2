// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the XDP program tells the daemon about: one record type, read from a ring buffer.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// A next hop towards a client has no MAC address: please have the kernel resolve it.
struct UnresolvedEvent {
  Ip neighbor;
  u32 ifindex;  // where the neighbour is
  u32 reserved;
};
static_assert(sizeof(UnresolvedEvent) == 24);

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the bench and its wrapper program share.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir::bench {

/// The first bytes of one flow's frame: enough for Ethernet, IPv6 and TCP.
inline constexpr u32 header_words = 10;
struct FlowRecord {
  u64 word[header_words];
};

struct State {
  u64 next;
  u32 mask;    // number of flows - 1
  u32 length;  // of a frame before it is sent, in bytes; 0: the program under test never grows it
};

}  // namespace weir::bench

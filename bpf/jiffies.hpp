// SPDX-License-Identifier: Apache-2.0
// How jiffies become CLOCK_MONOTONIC on this host. The kernel counts both on together, jiffies from its constant
// INITIAL_JIFFIES on, which is five minutes before 32 bits overflow.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir::bpf {

struct Jiffies {
  u64 length;  ///< of one, in nanoseconds
  u64 first;   ///< the count at which CLOCK_MONOTONIC began
};
[[nodiscard]] Jiffies jiffies_of_host();

}  // namespace weir::bpf

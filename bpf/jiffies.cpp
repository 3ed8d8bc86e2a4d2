// SPDX-License-Identifier: Apache-2.0
#include "bpf/jiffies.hpp"

#include <ctime>

namespace weir::bpf {

Jiffies jiffies_of_host() {
  timespec jiffy{};
  clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy);
  const u64 length = static_cast<u64>(jiffy.tv_nsec);
  const u64 per_second = (1'000'000'000 + length / 2) / length;
  return {length, static_cast<u32>(0 - 300 * per_second)};
}

}  // namespace weir::bpf

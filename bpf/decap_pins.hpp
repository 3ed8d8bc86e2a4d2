// SPDX-License-Identifier: Apache-2.0
// Where the pins of decapsulation are, and how its counters are read.
#pragma once

#include <algorithm>
#include <string>

#include "bpf/decap.hpp"

namespace weir::bpf {

/// A BPF file system takes no name with a dot (eth0.100), and no interface has a colon in its name.
[[nodiscard]] inline std::string decap_pin_dir(std::string interface, const std::string& pin_dir) {
  std::replace(interface.begin(), interface.end(), '.', ':');
  return pin_dir + "/" + interface;
}
[[nodiscard]] inline std::string decap_interface(std::string directory) {
  std::replace(directory.begin(), directory.end(), ':', '.');
  return directory;
}
[[nodiscard]] inline std::string decap_counters_pin(const std::string& own_dir) { return own_dir + "/weir_counts"; }

/// The counters in the per-CPU map behind `fd`, summed over CPUs.
[[nodiscard]] Outcome<DecapTotals> decap_totals(int fd);

}  // namespace weir::bpf

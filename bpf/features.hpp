// SPDX-License-Identifier: Apache-2.0
// Whether this process may use BPF, and whether this kernel has what the XDP program needs.
#pragma once

#include "bpf/failure.hpp"

namespace weir::bpf {

/// Checks privileges, the BPF file system at `pin_parent`, and each kernel feature by asking the kernel for it. The
/// failure names the first thing that is missing and what to do.
[[nodiscard]] Outcome<> check_host(const std::string& pin_parent);

}  // namespace weir::bpf

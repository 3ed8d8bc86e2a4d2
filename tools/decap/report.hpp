// SPDX-License-Identifier: Apache-2.0
// What `lb-decap status` prints.
#pragma once

#include <string>
#include <vector>

#include "bpf/decap.hpp"

namespace weir::decap {

[[nodiscard]] std::string as_text(const std::vector<bpf::DecapState>& states);
[[nodiscard]] std::string as_json(const std::vector<bpf::DecapState>& states);

}  // namespace weir::decap

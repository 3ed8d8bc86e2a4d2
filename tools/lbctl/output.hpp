// SPDX-License-Identifier: Apache-2.0
// Standard output, for what is printed before a verb ends.
#pragma once

#include <string_view>

#include "tools/lbctl/outcome.hpp"

namespace weir::lbctl {

/// All of `text`, at once. Failed: it cannot be written, and why.
[[nodiscard]] Outcome<> write_out(std::string_view text);

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/output.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace weir::lbctl {

Outcome<> write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return fail(Exit::failed, "standard output cannot be written: {}", std::generic_category().message(errno));
}

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over a Unix socket. The one file behind it is the only one of lbctl that includes Beast.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "tools/lbctl/outcome.hpp"

namespace weir::lbctl {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// One request on a connection of its own. Failures: unreachable (no socket, nobody behind it, no permission, not HTTP,
/// closed without an answer), timed_out.
[[nodiscard]] Outcome<HttpAnswer> exchange(const std::string& socket_path, std::chrono::seconds timeout,
                                           std::string_view method, const std::string& target, const std::string& body);

}  // namespace weir::lbctl

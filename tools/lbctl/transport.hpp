// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 over a Unix socket. The one file behind it is the only one of lbctl that includes Beast.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "tools/lbctl/outcome.hpp"

namespace weir::lbctl {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// Takes the bytes of an answer as they come; false ends it.
using Sink = std::function<bool(std::string_view)>;

/// One request on a connection of its own. With a `sink`, the body of a 200 answer goes there and HttpAnswer's is
/// empty; `timeout` is then that of each piece. Failures: unreachable (no socket, nobody behind it, no permission, not
/// HTTP, closed without an answer), timed_out.
[[nodiscard]] Outcome<HttpAnswer> exchange(const std::string& socket_path, std::chrono::seconds timeout,
                                           std::string_view method, const std::string& target, const std::string& body,
                                           const Sink& sink = {});

}  // namespace weir::lbctl

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

/// Takes the bytes of an answer as they come; a failure ends it.
using Sink = std::function<Outcome<>(std::string_view)>;

/// One request on a connection of its own, answered whole within `timeout`. With a `sink`, the body of a 200 answer
/// goes there and HttpAnswer's is empty; `timeout` is then that of each 64 KiB, without the time that the sink takes.
/// Failures: unreachable (no socket, nobody behind it, no permission, not HTTP, closed without an answer), timed_out,
/// those of `sink`.
[[nodiscard]] Outcome<HttpAnswer> exchange(const std::string& socket_path, std::chrono::milliseconds timeout,
                                           std::string_view method, const std::string& target, const std::string& body,
                                           const Sink& sink = {});

}  // namespace weir::lbctl

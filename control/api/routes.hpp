// SPDX-License-Identifier: Apache-2.0
// Which path does what: one table from method and path to an operation. Knows HTTP's words but not its bytes.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "control/api/answer.hpp"
#include "control/api/operations.hpp"

namespace weir::api {

struct Call {
  std::string method;  ///< as it came, "GET"; HEAD is routed as GET
  std::string target;  ///< "/v1/services?..."
  std::string body;
};

/// What a listener offers: the whole API, or GET /metrics alone.
enum class Scope { everything, metrics };

/// Calls `reply` once: before returning, or later if Operations::mutate takes its time.
void route(Operations& operations, Scope scope, const Call& call, const std::function<void(Answer)>& reply);

/// The largest body in bytes that makes sense for `target`: a configuration file for apply and diff, else one small
/// JSON object.
[[nodiscard]] std::size_t body_limit(std::string_view target, std::size_t largest);

}  // namespace weir::api

// SPDX-License-Identifier: Apache-2.0
// Asks lbd: one HTTP request over its Unix socket per call.
#pragma once

#include <chrono>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "tools/lbctl/outcome.hpp"

namespace weir::lbctl {

/// `text` as one path segment or one parameter value: everything but letters, digits and "-._~" as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

/// "?a=1&b=2" with encoded values; parameters with an empty value are left out.
[[nodiscard]] std::string query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters);

class Client {
 public:
  Client(std::string socket_path, std::chrono::seconds timeout) : socket_(std::move(socket_path)), timeout_(timeout) {}

  /// The body of a 200 answer. Failures: unreachable, timed_out, and what lbd's error document says.
  [[nodiscard]] Outcome<std::string> call(std::string_view method, const std::string& target,
                                          const std::string& body = "") const;
  [[nodiscard]] Outcome<nlohmann::json> get(const std::string& target) const;
  /// A mutation: what changed, one line per object, or "no change".
  [[nodiscard]] Outcome<std::string> change(std::string_view method, const std::string& target,
                                            const nlohmann::json& body = {}) const;
  [[nodiscard]] Outcome<std::string> change_text(std::string_view method, const std::string& target,
                                                 const std::string& body) const;

 private:
  std::string socket_;
  std::chrono::seconds timeout_;
};

}  // namespace weir::lbctl

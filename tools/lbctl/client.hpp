// SPDX-License-Identifier: Apache-2.0
// Asks lbd: one HTTP request over its Unix socket per call.
#pragma once

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "tools/lbctl/outcome.hpp"
#include "tools/lbctl/transport.hpp"

namespace weir::lbctl {

/// `text` as one path segment or one parameter value: everything but letters, digits and "-._~" as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

/// "?a=1&b=2" with encoded values; parameters with an empty value are left out.
[[nodiscard]] std::string query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters);

class Client {
 public:
  Client(std::string socket_path, std::chrono::milliseconds timeout)
      : socket_(std::move(socket_path)), timeout_(timeout) {}

  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }
  /// The same with a time-out of at most `timeout`.
  [[nodiscard]] Client within(std::chrono::milliseconds timeout) const {
    return {socket_, std::min(timeout, timeout_)};
  }

  /// The body of a 200 answer. Failures: unreachable, timed_out, and what lbd's error document says.
  [[nodiscard]] Outcome<std::string> call(std::string_view method, const std::string& target,
                                          const std::string& body = "") const;
  [[nodiscard]] Outcome<nlohmann::json> get(const std::string& target) const;
  [[nodiscard]] Outcome<nlohmann::json> post(const std::string& target, const std::string& body = "") const;
  /// Hands the body of a 200 answer to `sink` as it comes.
  [[nodiscard]] Outcome<> stream(const std::string& target, const Sink& sink) const;
  /// A mutation: what changed, one line per object, or "no change"; for a dry run also what it would do to flows.
  [[nodiscard]] Outcome<std::string> change(std::string_view method, const std::string& target,
                                            const nlohmann::json& body = {}) const;
  [[nodiscard]] Outcome<std::string> change_text(std::string_view method, const std::string& target,
                                                 const std::string& body) const;

 private:
  [[nodiscard]] Outcome<nlohmann::json> document(std::string_view method, const std::string& target,
                                                 const std::string& body) const;

  std::string socket_;
  std::chrono::milliseconds timeout_;
};

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// The request target of HTTP ("/v1/services/web?force=true") as path segments and parameters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/model/result.hpp"

namespace weir::api {

struct Target {
  std::vector<std::string> segments;  ///< percent-decoded after the split, so "%2F" never makes a new segment
  std::vector<std::pair<std::string, std::string>> query;  ///< percent-decoded; each name occurs once

  [[nodiscard]] const std::string* find(std::string_view name) const;
  /// "true" or "false"; absent means false. Fault: invalid.
  [[nodiscard]] Result<bool> flag(std::string_view name) const;
};

/// Faults: invalid (does not begin with "/", broken percent-encoding, a parameter given twice).
[[nodiscard]] Result<Target> parse_target(std::string_view text);

/// `text` in double quotes for a message: bytes outside printable ASCII as \xNN, cut after 64 bytes.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace weir::api

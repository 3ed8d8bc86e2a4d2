// SPDX-License-Identifier: Apache-2.0
// The configuration file: TOML text to values and back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/model/result.hpp"
#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::config {

struct Configuration {
  model::Settings settings;
  std::vector<model::Service> services;  ///< in the file's order; they keep every rule of the model, limits included
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

/// Reads a configuration file's text. The error is the first in the text, as "FILE:LINE:COLUMN: what is wrong; what to
/// do" (Fault::invalid); `file_name` is used in it and nowhere else.
[[nodiscard]] Result<Configuration> parse(std::string_view text, const std::string& file_name);

/// Text from which parse() makes an equal value; equal values give equal bytes.
[[nodiscard]] std::string write(const Configuration& configuration);

}  // namespace weir::config

// SPDX-License-Identifier: Apache-2.0
// The host's secret, for configurations without a seed of their own.
#pragma once

#include <string>

#include "control/model/result.hpp"
#include "control/model/settings.hpp"

namespace weir::store {

/// Reads the seed in `path` (32 hexadecimal digits and a newline), or makes a random one there, mode 0600. A file with
/// anything else in it is an error (Fault::invalid): a new seed would move every flow to another backend.
[[nodiscard]] Result<model::Seed> load_or_create_seed(const std::string& path);

}  // namespace weir::store

// SPDX-License-Identifier: Apache-2.0
// "Which backend would this 5-tuple get, and why": the core's own decision over the live tables, without side effect.
#pragma once

#include <nlohmann/json.hpp>

#include "control/api/operations.hpp"
#include "control/daemon/fast_path.hpp"

namespace weir::daemon {

[[nodiscard]] Result<nlohmann::json> report_trace(const api::TraceQuery& query, const model::Pool& pool,
                                                  FastPath& fast_path);

}  // namespace weir::daemon

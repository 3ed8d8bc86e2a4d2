// SPDX-License-Identifier: Apache-2.0
// The JSON documents of the API, from the desired state and the fast path's tables and counters.
#pragma once

#include <nlohmann/json.hpp>

#include "control/daemon/desired.hpp"
#include "control/daemon/fast_path.hpp"
#include "control/daemon/flow_keeper.hpp"

namespace weir::daemon {

/// What an operator should know now: a sentence each.
[[nodiscard]] std::vector<std::string> present_warnings(const Desired& desired, FastPath& fast_path);
[[nodiscard]] nlohmann::json report_status(const Desired& desired, FastPath& fast_path, const FlowKeeper& flows);
[[nodiscard]] nlohmann::json report_service(const model::Service& service, FastPath& fast_path,
                                            const FlowKeeper& flows);
[[nodiscard]] nlohmann::json report_rows(const model::Service& service, FastPath& fast_path);
[[nodiscard]] nlohmann::json report_stats(const model::Pool& pool, FastPath& fast_path, const FlowKeeper& flows);

/// The id of a backend of a published service; 0 when it has none.
[[nodiscard]] u32 backend_id(const table::Placed& placed, const model::Backend& backend);
/// How many rows of a published service the backend owns.
[[nodiscard]] u32 rows_owned(const table::Placed& placed, u32 backend);
/// Flows of a published service that the last sweep has seen and that go on, those of removed backends included.
[[nodiscard]] u64 active_flows(const table::Placed& placed, const FlowKeeper& flows);
[[nodiscard]] const char* action_text(Action action);

}  // namespace weir::daemon

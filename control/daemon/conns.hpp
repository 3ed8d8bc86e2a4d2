// SPDX-License-Identifier: Apache-2.0
// The remembered flows in the operator's words: listed, counted, ended.
#pragma once

#include <nlohmann/json.hpp>

#include "control/api/operations.hpp"
#include "control/daemon/fast_path.hpp"

namespace weir::daemon {

/// A JSON object and a newline for each flow that `filter` means; see Operations::conns. A backend that has been
/// removed is named by its endpoint. Faults: not_found.
[[nodiscard]] Result<api::Pieces> list_conns(const api::ConnFilter& filter, const model::Pool& pool,
                                             FastPath& fast_path);

/// {"count", "by_backend": {"web/b1": n}}.
[[nodiscard]] Result<nlohmann::json> count_conns(const api::ConnFilter& filter, const model::Pool& pool,
                                                 FastPath& fast_path);

/// {"killed"}.
[[nodiscard]] Result<nlohmann::json> kill_conns(const api::ConnFilter& filter, const model::Pool& pool,
                                                FastPath& fast_path);

/// Ends every flow of a backend that the flow table knows. How many.
u64 kill_backend(u32 service, u32 backend, FastPath& fast_path);

}  // namespace weir::daemon

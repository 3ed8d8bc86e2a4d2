// SPDX-License-Identifier: Apache-2.0
// Prometheus text exposition format 0.0.4. Names and labels are promises: README.md lists them.
#pragma once

#include <string>

#include "control/daemon/fast_path.hpp"
#include "control/daemon/flow_keeper.hpp"
#include "control/model/pool.hpp"

namespace weir::daemon {

[[nodiscard]] std::string prometheus_text(const model::Pool& pool, FastPath& fast_path, const FlowKeeper& flows,
                                          u64 generation);

}  // namespace weir::daemon

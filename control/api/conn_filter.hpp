// SPDX-License-Identifier: Apache-2.0
// Which flows the parameters of /v1/conns name.
#pragma once

#include "control/api/operations.hpp"
#include "control/api/target.hpp"

namespace weir::api {

/// service=S, backend=S/B, protocol=tcp, source=ADDRESS[:PORT], destination=ADDRESS:PORT; each may be absent, and port
/// 0 is any port. Faults: invalid, naming the parameter.
[[nodiscard]] Result<ConnFilter> parse_conn_filter(const Target& target);

}  // namespace weir::api

// SPDX-License-Identifier: Apache-2.0
// Ends a run early on SIGINT and SIGTERM, with its counts printed.
#pragma once

namespace weir::lbgen {

/// From here on the two signals only leave a mark; a system call that waits returns early.
void heed_signals();
/// The first of them that came in, or 0.
[[nodiscard]] int stopped_by();

}  // namespace weir::lbgen

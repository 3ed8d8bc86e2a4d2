// SPDX-License-Identifier: Apache-2.0
// What somebody is told who waits no longer.
#pragma once

#include <string>

namespace weir::lbctl {

/// From here on SIGINT and SIGTERM end the process with "lbctl: `words`" on standard error and exit code 128 + signal,
/// 130 and 143. A signal that is ignored stays so. Nothing may be left in the buffer of standard output meanwhile.
void leave_with(const std::string& words);

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// A number from a file or a packet becomes a mode through a check, not by itself.
// expect: cannot convert .int. to .weir::Mode.
#include "dataplane/core/types.hpp"

weir::Mode mode() { return 1; }

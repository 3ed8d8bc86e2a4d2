// SPDX-License-Identifier: Apache-2.0
// Bytes in network order are not added to.
// expect: no match for .operator\+.
#include "dataplane/core/types.hpp"

auto next(weir::Be16 port) { return port + 1; }

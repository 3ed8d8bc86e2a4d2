// SPDX-License-Identifier: Apache-2.0
// Nor do they have an order.
// expect: no match for .operator<.
#include "dataplane/core/types.hpp"

bool below(weir::Be16 a, weir::Be16 b) { return a < b; }

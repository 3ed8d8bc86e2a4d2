// SPDX-License-Identifier: Apache-2.0
// A value in network order is never compared with one in host order.
// expect: no match for .operator==.
#include "dataplane/core/types.hpp"

bool same(weir::Be16 wire, weir::u16 host) { return wire == host; }

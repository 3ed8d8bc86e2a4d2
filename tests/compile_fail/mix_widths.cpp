// SPDX-License-Identifier: Apache-2.0
// A port is not half of an address.
// expect: no match for .operator==.
#include "dataplane/core/types.hpp"

bool same(weir::Be16 port, weir::Be32 address) { return port == address; }

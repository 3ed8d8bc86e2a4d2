// SPDX-License-Identifier: Apache-2.0
// Converting first, as the cases beside this one do not.
// expect: compiles
#include "dataplane/core/types.hpp"

weir::Be16 https() { return weir::to_be(weir::u16{443}); }
weir::u16 next(weir::Be16 port) { return static_cast<weir::u16>(weir::to_host(port) + 1); }
bool same(weir::Be16 wire, weir::u16 host) { return weir::to_host(wire) == host; }
bool equal(weir::Be32 a, weir::Be32 b) { return a == b; }

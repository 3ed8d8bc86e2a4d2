// SPDX-License-Identifier: Apache-2.0
// Nor by assignment.
// expect: no match for .operator=.
#include "dataplane/core/types.hpp"

void set(weir::Be16& port) { port = weir::u16{443}; }

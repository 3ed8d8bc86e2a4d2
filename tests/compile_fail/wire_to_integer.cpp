// SPDX-License-Identifier: Apache-2.0
// A value in network order does not become a number by itself.
// expect: cannot convert .weir::Be32.
#include "dataplane/core/types.hpp"

weir::u32 number(weir::Be32 address) { return address; }

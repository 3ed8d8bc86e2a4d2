// SPDX-License-Identifier: Apache-2.0
// What is in host order already cannot be converted to it.
// expect: no matching function for call to .to_host|call of overloaded|could not convert
#include "dataplane/core/types.hpp"

weir::u16 twice(weir::u16 port) { return weir::to_host(port); }

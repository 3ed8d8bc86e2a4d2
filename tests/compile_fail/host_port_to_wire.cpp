// SPDX-License-Identifier: Apache-2.0
// A port in host order is not a port on the wire.
// expect: could not convert .443. .*Be16|cannot convert|conversion from .int. to .*Be16
#include "dataplane/core/types.hpp"

weir::Be16 https() { return 443; }

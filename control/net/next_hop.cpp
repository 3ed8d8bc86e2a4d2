// SPDX-License-Identifier: Apache-2.0
#include "control/net/next_hop.hpp"

#include <fmt/format.h>

namespace weir::net {

std::string mac_text(MacBits mac) {
  const auto byte = [mac](int index) { return static_cast<u8>(mac >> (8 * index)); };
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", byte(0), byte(1), byte(2), byte(3), byte(4), byte(5));
}

}  // namespace weir::net

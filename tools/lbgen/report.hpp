// SPDX-License-Identifier: Apache-2.0
// What lbgen prints at the end.
#pragma once

#include <string>

#include "tools/lbgen/count.hpp"
#include "tools/lbgen/plan.hpp"
#include "tools/lbgen/send.hpp"

namespace weir::lbgen {

/// A run of `lbgen send`, and what the interface itself has counted meanwhile.
struct SendReport {
  std::string interface;
  Order order;
  u32 workers = 1;
  bpf::GenerateState plan{};
  Sent sent;
  u64 left = 0;
};

[[nodiscard]] std::string as_text(const SendReport& report);
[[nodiscard]] std::string as_json(const SendReport& report);
[[nodiscard]] std::string as_text(const std::string& interface, const Received& received);
[[nodiscard]] std::string as_json(const std::string& interface, const Received& received);

}  // namespace weir::lbgen

// SPDX-License-Identifier: Apache-2.0
// The flow table of a run: what the world puts into it, and what it holds, as text.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/memory/table_memory.hpp"
#include "tools/lbsim/world.hpp"

namespace weir::lbsim {

/// Room for a few hundred flows.
inline constexpr FlowSizes flow_sizes = {.embryos = 16, .flows = 64, .ghosts = 16};

/// When a run begins, in ticks: late enough for any idle time to lie before it.
inline constexpr u32 first_tick = 1U << 31;

/// Ids of a service and of its backends by name; 0: there is none.
struct Ids {
  std::function<u32(const std::string& service)> service;
  std::function<u32(const std::string& backend)> backend;  ///< SERVICE/BACKEND
};

/// Brings rows, backends and flow table into the world's state. Faults: invalid, a name that the configuration lacks.
Result<> set_flows(const World& world, const Ids& ids, TableMemory& tables, FlowMemory& flows);

/// Every flow in `flows`, sorted: "SERVICE SOURCE BACKEND new|established [FLAG...] [idle=SECONDS]".
[[nodiscard]] std::vector<std::string> list_flows(const FlowMemory& flows,
                                                  const std::function<std::string(u32)>& service_name,
                                                  const std::function<std::string(u32)>& backend_name);

/// Copies one flow table over another of the same sizes.
void copy_flows(const FlowMemory& from, FlowMemory& to);

}  // namespace weir::lbsim

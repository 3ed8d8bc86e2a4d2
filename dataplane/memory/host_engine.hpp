// SPDX-License-Identifier: Apache-2.0
// The fast path on this host's CPU, without a NIC: what lbsim, tests and fuzzers run frames through.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "dataplane/core/verdict.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir {

/// What became of one frame.
struct Outcome {
  Verdict verdict = Verdict::not_ours;
  u32 egress = 0;         ///< index of the interface it leaves by; 0 unless it is sent
  u32 service_id = 0;     ///< 0 unless it is sent for a service
  u32 backend_id = 0;     ///< the backend that it is sent to or came from; 0 when there is none
  u32 row = 0;            ///< index into the table of rows; holds when it is sent to a backend
  std::vector<u8> frame;  ///< as it leaves or is handed on
};

class HostEngine {
 public:
  using RouteFunction = MemoryTables::RouteFunction;

  /// `memory` outlives the engine. `route` answers for the host's routes towards clients. `allow_answer` says, once per
  /// ICMP message that Weir itself would send, whether it may. `flows` is the flow table.
  HostEngine(
      const TableMemory& memory, RouteFunction route, std::function<bool()> allow_answer = [] { return true; },
      MemoryFlows flows = {});

  /// Decides on a frame that came in on the interface `ingress` and carries the decision out. In front of the frame lie
  /// `headroom` bytes, which hold `headroom_pattern` so that a header byte that nobody writes is not mistaken for a
  /// zero.
  [[nodiscard]] Outcome run(std::span<const u8> frame, u32 ingress, u32 headroom = 256) const;

  static constexpr u8 headroom_pattern = 0xa5;

 private:
  MemoryTables tables_;
};

}  // namespace weir

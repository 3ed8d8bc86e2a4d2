// SPDX-License-Identifier: Apache-2.0
// One frame through the fast path, by either of two engines over the same tables.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/memory/table_memory.hpp"
#include "tools/lbsim/flows.hpp"
#include "tools/lbsim/world.hpp"

namespace weir::lbsim {

/// What became of one frame. Ids are 0 where there is none.
struct Fate {
  Verdict verdict = Verdict::not_ours;
  u32 egress = 0;  ///< index of the interface it leaves by; 0 unless it is sent
  u32 service_id = 0;
  u32 backend_id = 0;
  u32 row = 0;                   ///< index into the table of rows; holds when a backend of a service has been picked
  std::vector<u8> frame;         ///< as it leaves or is handed on; empty when it is dropped
  std::vector<EndedFlow> ended;  ///< what the control plane is told
};

/// Counters since the start, by verdict and by id.
struct Totals {
  std::array<VerdictCounters, verdict_count> verdicts{};
  std::vector<Counters> services;
  std::vector<Counters> backends;
  std::vector<FlowCounters> flows;  ///< by service
};

class Engine {
 public:
  virtual ~Engine() = default;
  /// The tables to publish into, initialised by nobody yet.
  virtual TableMemory& memory() = 0;
  /// Of `flow_sizes`. Its header's clock is the run's.
  virtual FlowMemory& flows() = 0;
  /// To be called once, when the tables are filled.
  virtual Result<> start() = 0;
  /// `ingress` is an interface of the world that is attached.
  virtual Result<Fate> run(std::span<const u8> frame, u32 ingress) = 0;
  [[nodiscard]] const Totals& totals() const { return totals_; }

 protected:
  Totals totals_;
};

/// The core compiled for this host. `world` outlives the engine.
[[nodiscard]] std::unique_ptr<Engine> make_native_engine(const World& world, const TableSizes& sizes);

/// The XDP program in the kernel, by BPF_PROG_TEST_RUN, in a network namespace of this process alone that is made like
/// `world`. With `fill_headroom` the bytes before a frame hold a pattern, as far as the kernel lets them be set.
[[nodiscard]] Result<std::unique_ptr<Engine>> make_xdp_engine(const World& world, const TableSizes& sizes,
                                                              bool fill_headroom);

}  // namespace weir::lbsim

// SPDX-License-Identifier: Apache-2.0
// Both engines over one set of tables, those of tests/support/world.hpp, each with a flow table of its own: what one
// makes of a frame, and remembers, the other has to as well.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/loader.hpp"
#include "dataplane/memory/host_engine.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/world.hpp"

namespace weir::testing {

class Twins {
 public:
  Twins();

  /// Fails the test where the engines differ on `frame`, or in their flow tables after it.
  void expect_same(const Bytes& frame);
  /// Fails the test where the flow tables' counters differ.
  void expect_same_flow_counters();

  /// How many ICMP messages either engine may send itself: any number, or none.
  void allow_answers(bool allow) { store_once(memory().globals->icmp_rate, allow ? 0xffff'ffffU : 0U); }
  /// The time that both engines have, in ticks.
  void set_tick(u32 tick);
  /// Empties both flow tables.
  void forget();

  [[nodiscard]] TableMemory& memory() { return engine_->memory(); }
  [[nodiscard]] FlowMemory& flows() { return flows_.memory(); }
  [[nodiscard]] FlowMemory& kernel_flows() { return engine_->flows(); }
  [[nodiscard]] table::Publisher& publisher() { return *publisher_; }
  [[nodiscard]] FlowCounters counted() const;
  [[nodiscard]] u64 seen(Verdict verdict) const { return seen_[static_cast<u32>(verdict)]; }
  [[nodiscard]] u64 checked() const { return checked_; }

  /// So small that flows have to make room for each other.
  static constexpr FlowSizes flow_sizes = {.embryos = 4, .flows = 8, .ghosts = 2};

 private:
  std::string difference(const Bytes& frame);
  std::string flow_difference();
  [[nodiscard]] Route route(const Ip& client, u32 length) const;

  u32 ingress_;
  std::unique_ptr<bpf::Engine> engine_;
  OwnedFlows flows_{flow_sizes};
  std::vector<FlowCounters> counters_;
  std::vector<EndedFlow> ended_;
  HostEngine native_;
  std::unique_ptr<table::Publisher> publisher_;
  u64 seen_[verdict_count] = {};
  u64 checked_ = 0;
};

/// The only ones of this process: it leaves its network namespace for them.
Twins& twins();

}  // namespace weir::testing

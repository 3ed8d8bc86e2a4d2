// SPDX-License-Identifier: Apache-2.0
// Reads the per-CPU counters, summed over CPUs.
#pragma once

#include <array>
#include <vector>

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/tables.hpp"
#include "dataplane/core/verdict.hpp"

namespace weir::bpf {

using VerdictTotals = std::array<VerdictCounters, verdict_count>;

class Counting {
 public:
  Counting(int verdicts_fd, int services_fd, int backends_fd, int flows_fd);

  [[nodiscard]] VerdictTotals verdicts() const;
  [[nodiscard]] VerdictCounters verdict(u32 index) const;
  [[nodiscard]] Counters service(u32 id) const;
  [[nodiscard]] Counters backend(u32 id) const;
  [[nodiscard]] FlowCounters flows(u32 service) const;
  /// Back to zero, before an id is given out again; a service's with those of its flows.
  void reset_service(u32 id) const;
  void reset_backend(u32 id) const;

 private:
  int verdicts_fd_;
  int services_fd_;
  int backends_fd_;
  int flows_fd_;
  unsigned cpus_;  // possible CPUs: what the kernel copies per element
};

}  // namespace weir::bpf

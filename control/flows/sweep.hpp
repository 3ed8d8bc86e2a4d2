// SPDX-License-Identifier: Apache-2.0
// A pass over the flow table: counts what is there, and frees what nobody needs any more.
#pragma once

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "control/flows/survey.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::flows {

/// By service id: whose rows are looked at, see Publisher::unsettled(). Empty: every service's.
using Unsettled = std::vector<bool>;

/// A pass in steps, so that one over a large table does not keep an event loop from its other work. The tables may
/// change between two steps; the flow table may change at any time.
class Sweep {
 public:
  /// `now_tick` is the time of the first step, see tick_of(). Both memories outlive the pass.
  Sweep(FlowMemory& flows, const TableMemory& tables, u32 now_tick, Unsettled unsettled = {});

  /// Looks at `buckets` more. True when the pass is complete.
  bool step(u32 buckets);
  /// What has been found; to be taken once.
  [[nodiscard]] Survey take() { return std::move(survey_); }

 private:
  /// A flow whose row is on its way from memory.
  struct Pending {
    FlowEntry* entry;
    u64 word;
    u64 table;  // of its service
    u32 service;
    u32 row;  // index into all rows
    bool nursery;
  };

  void look(FlowEntry& entry, bool nursery);
  void look_at_rows();
  void judge(const Pending& flow);
  void count(u32 service, u64 word, bool nursery);
  bool free(FlowEntry& entry, u64 word);

  FlowMemory flows_;
  TableMemory tables_;
  Survey survey_;
  std::vector<Strangers*> strangers_;  // by service id; null: the rows are not looked at
  u64 next_ = 0;                       // bucket: those of the nursery first
  std::array<Pending, 16> pending_;
  std::size_t waiting_ = 0;
};

/// A whole pass at once.
[[nodiscard]] Survey sweep(FlowMemory& flows, const TableMemory& tables, u32 now_tick, const Unsettled& unsettled = {});

}  // namespace weir::flows

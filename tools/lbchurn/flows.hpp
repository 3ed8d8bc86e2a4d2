// SPDX-License-Identifier: Apache-2.0
// Churn replayed against the core: what becomes of connections when backends come, go and change weight.
#pragma once

#include <string>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/core/types.hpp"

namespace weir::lbchurn {

struct FlowStudy {
  u32 backends = 100;      ///< that take flows at the start
  u32 rows = 65536;        ///< a power of two
  double change = 30;      ///< seconds from one change of the backends to the next; 0: never
  double rate = 500;       ///< flows that begin per second
  double duration = 3600;  ///< seconds
  double shortest = 1;     ///< seconds that flows live at least
  double tail = 1.2;       ///< Pareto exponent of lifetimes: the share that lives longer than t falls as t^-tail
  double longest = 7200;   ///< seconds that flows live at most
  double pause = 10;       ///< mean seconds between two packets of a flow, exponentially distributed
  double silence = 600;    ///< seconds that a pause lasts at most
  double settle = 900;     ///< seconds of the settle window
  double sweep = 10;       ///< seconds from one sweep to the next
  u32 closing = 60;        ///< seconds that a closed flow is remembered
  u32 entries = 1 << 18;   ///< established flows that the flow table holds
  u32 embryos = 1 << 16;   ///< flows of one packet
  u64 seed = 1;
};

/// What one way to keep connections together came to.
struct FlowFigures {
  std::string scheme;
  u64 broken = 0;        ///< flows of which a packet went to another backend than their first
  u64 looked_up = 0;     ///< packets that asked the flow table
  u64 entries_mean = 0;  ///< of the flow table, nursery included, after each sweep of the second half of the time
  u64 entries_most = 0;
  u64 evicted = 0;  ///< established flows that had to make room
};

struct FlowReport {
  u64 flows = 0;
  u64 packets = 0;
  u64 changes = 0;
  double rows_changed = 0;  ///< rows that get another owner, mean share per change
  std::vector<FlowFigures> schemes;
};

[[nodiscard]] Result<FlowReport> study(const FlowStudy& wanted);

}  // namespace weir::lbchurn

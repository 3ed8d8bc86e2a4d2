// SPDX-License-Identifier: Apache-2.0
// One balancer: the core's tables in memory, kept by one of three ways to treat a row whose owner changes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dataplane/memory/table_memory.hpp"
#include "tools/lbchurn/flows.hpp"

namespace weir::lbchurn {

enum class Keeping : u32 {
  stateless,  ///< rows change at once, nothing is remembered
  full,       ///< rows change at once, every flow is remembered
  settled,    ///< rows move and settle, flows are remembered meanwhile
};

/// A TCP packet from a client; addresses are IPv4.
struct ClientPacket {
  u32 client;  ///< host byte order
  u16 port;
  u8 flags;  ///< query_* of the core
};

class Scheme {
 public:
  Scheme(Keeping keeping, const FlowStudy& wanted, u32 backends);
  Scheme(const Scheme&) = delete;
  Scheme& operator=(const Scheme&) = delete;

  /// The backend id that a packet goes to at `now` seconds.
  u32 forward(const ClientPacket& packet, double now);
  /// Rows get the owners of `table` (backend ids), and backends of weight 0 drain.
  void change(std::span<const u32> table, std::span<const u32> weights, double now);
  /// Closes windows, frees what is no longer needed, settles rows.
  void sweep(double now, bool counts);

  [[nodiscard]] FlowFigures figures() const;

 private:
  Keeping keeping_;
  double settle_;
  OwnedTables tables_;
  OwnedFlows flows_;
  std::vector<FlowCounters> counters_;
  std::vector<double> moved_;  // by row: since when it has had its owner
  MemoryTables core_;
  u32 tick_ = 0;
  u64 looked_up_ = 0;
  u64 entries_ = 0;
  u64 sweeps_ = 0;
  u64 most_ = 0;
};

}  // namespace weir::lbchurn

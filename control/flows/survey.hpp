// SPDX-License-Identifier: Apache-2.0
// What one pass over the flow table has found. Plain values.
#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::flows {

/// Why a flow that was remembered has ended.
enum class Closed : u32 { fin, rst, idle, killed };
inline constexpr std::array<std::string_view, 4> closed_text{"fin", "rst", "idle", "killed"};

/// The entries of one backend.
struct BackendFlows {
  u32 remaining = 0;  ///< flows that go on
  u32 finished = 0;   ///< closed or reset, and kept until late segments are no longer to be expected
  u32 killed = 0;     ///< ended by the operator, and kept until both ends have been told
  u32 last_tick = 0;  ///< last packet of one of `remaining`; holds when there is one

  [[nodiscard]] u32 entries() const { return remaining + finished + killed; }
};

/// The entries of one service.
struct ServiceFlows {
  u32 entries = 0;              ///< that stay in the table, embryos among them
  u32 embryos = 0;              ///< of those, in the nursery
  u32 unanswered = 0;           ///< SYNs that nobody followed up, freed by this pass
  std::array<u32, 4> closed{};  ///< flows freed by this pass, by Closed
  u64 evicted_established = 0;  ///< FlowCounters' sum over CPUs; whoever can read them fills it in, a pass does not
};

/// Which rows of one service hold a flow of another backend than their owner, or one to be told that it has ended.
struct Strangers {
  u64 table = 0;          ///< the service's table word when the pass began: what the bits are about
  std::vector<u64> bits;  ///< by row, from the first one of the service

  [[nodiscard]] bool test(u32 row) const { return (bits[row / 64] >> (row % 64) & 1) != 0; }
  void set(u32 row) { bits[row / 64] |= u64{1} << (row % 64); }
};

struct Survey {
  u32 tick = 0;                             ///< when the pass began, see tick_of()
  std::vector<BackendFlows> backends;       ///< by backend id
  std::vector<ServiceFlows> services;       ///< by service id
  std::unordered_map<u32, Strangers> rows;  ///< by service id: those that were asked for
  u64 entries = 0;                          ///< established flows in the table at the end of the pass
  u64 embryos = 0;                          ///< flows in the nursery, likewise
  u64 freed = 0;                            ///< entries that the pass has emptied, for whatever reason
};

}  // namespace weir::flows

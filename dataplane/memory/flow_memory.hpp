// SPDX-License-Identifier: Apache-2.0
// The flow table wherever it lives, as spans.
#pragma once

#include <span>
#include <vector>

#include "dataplane/core/flow_table.hpp"

namespace weir {

struct FlowMemory {
  FlowHeader* header = nullptr;
  std::span<FlowBucket> embryos;
  std::span<FlowBucket> flows;
  std::span<GhostLine> ghosts;
};

/// The parts of a flow table of `sizes` that starts at `image`, which is aligned to 128 bytes.
[[nodiscard]] FlowMemory flows_in(void* image, const FlowSizes& sizes);

/// Entries of a flow table whose size nobody has chosen: 44 MiB with the ghosts.
inline constexpr u32 default_flows = 1 << 20;
inline constexpr u32 default_embryos = 1 << 16;

/// Sizes for at least as many entries, each rounded up to a power of two, and a ghost for every established one.
[[nodiscard]] FlowSizes flow_sizes_for(u32 flows, u32 embryos);

/// The time now, as the XDP program has it.
[[nodiscard]] u32 present_tick();

/// Writes the header of a zeroed flow table.
void initialise(FlowMemory& memory, const FlowSizes& sizes);

/// A flow table in ordinary memory, initialised and empty.
class OwnedFlows {
 public:
  explicit OwnedFlows(const FlowSizes& sizes);
  [[nodiscard]] FlowMemory& memory() { return memory_; }

 private:
  struct alignas(128) Line {
    u8 bytes[128];
  };
  std::vector<Line> image_;
  FlowMemory memory_;
};

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/flow_memory.hpp"

#include <algorithm>
#include <bit>
#include <ctime>

namespace weir {

FlowMemory flows_in(void* image, const FlowSizes& sizes) {
  u8* const start = static_cast<u8*>(image);
  const FlowOffsets at = flow_offsets_of(sizes);
  return {reinterpret_cast<FlowHeader*>(start),
          {reinterpret_cast<FlowBucket*>(start + at.embryos), sizes.embryos},
          {reinterpret_cast<FlowBucket*>(start + at.flows), sizes.flows},
          {reinterpret_cast<GhostLine*>(start + at.ghosts), sizes.ghosts}};
}

FlowSizes flow_sizes_for(u32 flows, u32 embryos) {
  const auto buckets = [](u32 entries) { return std::bit_ceil(std::max(entries / bucket_entries, 1U)); };
  return {buckets(embryos), buckets(flows), std::bit_ceil(std::max(flows / ghosts_per_line, 1U))};
}

u32 present_tick() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return tick_of(static_cast<u64>(now.tv_sec) * 1'000'000'000ULL + static_cast<u64>(now.tv_nsec));
}

void initialise(FlowMemory& memory, const FlowSizes& sizes) {
  memory.header->version = flow_layout_version;
  memory.header->sizes = sizes;
  store_once(memory.header->magic, flow_magic);
}

OwnedFlows::OwnedFlows(const FlowSizes& sizes)
    : image_((flow_offsets_of(sizes).end + sizeof(Line) - 1) / sizeof(Line)), memory_(flows_in(image_.data(), sizes)) {
  initialise(memory_, sizes);
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The flow table as the XDP program has it. Its look-ups stand in functions of their own: settled rows never call them,
// and their stack is free again when the packet is rewritten.
#pragma once

#include "bpf/tables.bpf.hpp"
#include "dataplane/core/recall.hpp"

namespace weir::bpf {

/// The tables, and beside them the flow table.
struct FlowTables : KernelTables {
  u8* flow_image;

  LB_INLINE FlowSizes flow_sizes() const {
    return {weir_flow_sizes.embryos, weir_flow_sizes.flows, weir_flow_sizes.ghosts};
  }
  LB_INLINE FlowBucket* embryos(u32 i) const {
    return record_at<FlowBucket>(flow_image, weir_flow_offsets.embryos, i, weir_flow_sizes.embryos);
  }
  LB_INLINE FlowBucket* flows(u32 i) const {
    return record_at<FlowBucket>(flow_image, weir_flow_offsets.flows, i, weir_flow_sizes.flows);
  }
  LB_INLINE GhostLine* ghosts(u32 i) const {
    return record_at<GhostLine>(flow_image, weir_flow_offsets.ghosts, i, weir_flow_sizes.ghosts);
  }
  LB_INLINE u32 tick() const {
    if (weir_still_clock) return load_once(reinterpret_cast<const FlowHeader*>(flow_image)->still_tick);
    return tick_of(coarse_nanoseconds());
  }
};

}  // namespace weir::bpf

extern "C" [[gnu::noinline]] weir::u64 weir_recall(const weir::FlowQuery* query) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  u8* const flows = bpf::lookup<u8>(weir_flows, 0);
  if (!query || !tables || !flows) return recalled(nobody, false);
  return recall_flow(bpf::FlowTables{{nullptr, tables}, flows}, *query);
}

extern "C" [[gnu::noinline]] weir::u64 weir_consult(const weir::FlowQuery* query) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  u8* const flows = bpf::lookup<u8>(weir_flows, 0);
  if (!query || !tables || !flows) return recalled(nobody, false);
  return consult_flow(bpf::FlowTables{{nullptr, tables}, flows}, *query);
}

extern "C" [[gnu::noinline]] weir::u32 weir_note(const weir::FlowKey* key, weir::u32 packet) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  u8* const flows = bpf::lookup<u8>(weir_flows, 0);
  if (!key || !tables || !flows) return 0;
  note_answer(bpf::FlowTables{{nullptr, tables}, flows}, *key, packet);
  return 0;
}

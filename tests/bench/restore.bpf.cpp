// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The bench's wrapper: restores the headers that the program under test rewrote, from a table of flows, then calls it.
// BPF_PROG_TEST_RUN hands a repetition the packet as the last one left it; without this the second repetition would
// already measure the path of a packet that is for no VIP. Outer headers are taken off in front. Where a case has them
// the empty program pays for that call as well: it does the same for any number of bytes, none included.
#include "bpf/bpfxx.hpp"
#include "dataplane/core/types.hpp"
#include "tests/bench/flow_record.hpp"

struct bench_flows_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);  // set before loading
  BPF_MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::bench::FlowRecord);
};
BPF_SECTION(".maps") bench_flows_map bench_flows;

struct bench_state_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::bench::State);
};
BPF_SECTION(".maps") bench_state_map bench_state;

struct bench_target_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PROG_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::u32);
};
BPF_SECTION(".maps") bench_target_map bench_target;

namespace {

using weir::bpf::map_lookup;

[[gnu::always_inline]] inline weir::u8* start(xdp_md* context) {
  return reinterpret_cast<weir::u8*>(static_cast<__UINTPTR_TYPE__>(context->data));
}
[[gnu::always_inline]] inline weir::u8* end(xdp_md* context) {
  return reinterpret_cast<weir::u8*>(static_cast<__UINTPTR_TYPE__>(context->data_end));
}
[[gnu::always_inline]] inline int restore(xdp_md* context) {
  weir::u32 zero = 0;
  auto* state = static_cast<weir::bench::State*>(map_lookup(&bench_state, &zero));
  if (!state) return XDP_ABORTED;
  weir::u32 index = static_cast<weir::u32>(state->next++) & state->mask;
  const auto* flow = static_cast<const weir::bench::FlowRecord*>(map_lookup(&bench_flows, &index));
  if (!flow) return XDP_ABORTED;
  if (state->length != 0) {
    // The helper and not end - start: clang subtracts those in 32 bits, which the verifier forbids for pointers.
    const auto grown = static_cast<int>(weir::bpf::frame_length(context)) - static_cast<int>(state->length);
    if (weir::bpf::adjust_head(context, grown) != 0) return XDP_ABORTED;
  }
  auto* data = reinterpret_cast<weir::bench::FlowRecord*>(start(context));
  if (reinterpret_cast<weir::u8*>(data + 1) > end(context)) return XDP_ABORTED;
  for (weir::u32 i = 0; i < weir::bench::header_words; ++i) data->word[i] = flow->word[i];
  reinterpret_cast<long (*)(void*, void*, weir::u32)>(BPF_FUNC_tail_call)(context, &bench_target, 0);
  return XDP_ABORTED;
}

}  // namespace

extern "C" BPF_SECTION("xdp.frags") int bench_restore(xdp_md* context) { return restore(context); }
extern "C" BPF_SECTION("xdp.frags") int bench_empty(xdp_md*) { return XDP_TX; }

BPF_SECTION("license") char bench_license[] = "GPL";

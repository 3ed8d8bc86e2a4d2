// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The short way to what is remembered of a flow: one bucket, for the packets that change nothing but the time.
#pragma once

#include "dataplane/core/recall.hpp"

namespace weir {

/// Notes the time of a flow's packet. A plain store, which other packets' loads need not wait for; where the entry
/// changes hands meanwhile, the flow that is there now looks a packet younger than it is.
LB_INLINE void touch(FlowEntry& entry, u32 now) {
  using Half [[gnu::may_alias]] = u32;
  static_cast<volatile Half*>(static_cast<void*>(&entry.word))[1] = now;
}

/// All ones where `difference` is zero, else zero. Without a branch: see glance().
LB_INLINE u64 mask_if_zero(u64 difference) {
  u64 negative = ~(difference | (u64{0} - difference));
  asm("" : "+r"(negative));
  u64 mask = static_cast<u64>(static_cast<long long>(negative) >> 63);
  asm("" : "+r"(mask));
  return mask;
}

/// The backend of a flow in the most common state, a packet of which changes nothing but its time; else nobody, and
/// recall_flow() has to say. No branch depends on where in its bucket the entry stands: a processor would guess wrong
/// three times of four, and begin the rest of the packet's work anew after the table's memory has answered.
template <class T>
LB_INLINE u32 glance(const T& tables, const Globals& globals, const FlowQuery& query) {
  if (query.packet & (query_syn | query_fin | query_rst)) return nobody;
  FlowBucket* bucket = tables.flows(first_bucket(key_hash(globals.keys, query.key), tables.flow_sizes()));
  if (!bucket) return nobody;
  u64 word = 0, at = 0, missing = 0;
  for (u32 i = 0; i < bucket_entries; ++i) {
    FlowEntry& entry = bucket->entry[i];
    const u64 seen = load_once(entry.word);
    const u64 found = mask_if_zero((load_once(entry.key.word[0]) ^ query.key.word[0]) |
                                   (load_once(entry.key.word[1]) ^ query.key.word[1]) |
                                   (load_once(entry.key.word[2]) ^ query.key.word[2]) | (~seen & u64{1} << 25));
    word |= seen & found;
    at |= i & found;
    missing += found + 1;
  }
  constexpr u64 special = flow_client_fin | flow_backend_fin | flow_reset | flow_killed | u64{3} << 24;
  constexpr u64 usual = static_cast<u64>(FlowKind::live) << 24;
  if (missing != bucket_entries - 1 || (word & special) != usual) return nobody;
  // Clang knows that the masks leave no more than the index and would not bound it, and Linux 6.1's verifier does not.
  asm("" : "+r"(at));
  FlowEntry& entry = bucket->entry[at & (bucket_entries - 1)];
  const u32 id = flow_backend(word);
  // The key may have been written after the word was read.
  if (flow_backend(load_once(entry.word)) != id) return nobody;
  const u32 now = tables.tick();
  if (age_of(flow_tick(word), now) > timeout_idle(query.timeouts)) return nobody;
  const BackendState state = state_of(tables, id);
  if (state != BackendState::open && state != BackendState::draining) return nobody;
  if (flow_tick(word) != now) touch(entry, now);
  if (FlowCounters* counters = tables.flow_counters(key_service(query.key))) counters->hits += 1;
  return id;
}

}  // namespace weir

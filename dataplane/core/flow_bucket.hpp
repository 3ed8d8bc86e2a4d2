// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Entries of the flow table as the fast path finds, enters, moves and evicts them, while other CPUs do the same.
#pragma once

#include "dataplane/core/flow_query.hpp"

namespace weir {

LB_INLINE u64 compare_and_swap(u64& word, u64 expected, u64 wanted) {
  return __sync_val_compare_and_swap(&word, expected, wanted);
}

/// Takes an entry for writing; false when another CPU was faster.
LB_INLINE bool claim(FlowEntry& entry, u64 word) {
  return compare_and_swap(entry.word, word, flow_word(nobody, FlowKind::busy, 0, 0)) == word;
}
/// Fills a claimed entry. The exchange orders the key before the word on every CPU.
LB_INLINE void fill(FlowEntry& entry, const FlowKey& key, u64 word) {
  for (u32 i = 0; i < 3; ++i) store_once(entry.key.word[i], key.word[i]);
  __sync_lock_test_and_set(&entry.word, word);
}

/// The entry of `key` in a bucket and its word, or null.
LB_INLINE FlowEntry* find_flow(FlowBucket* bucket, const FlowKey& key, u64& word) {
  if (!bucket) return nullptr;
  for (u32 i = 0; i < bucket_entries; ++i) {
    FlowEntry& entry = bucket->entry[i];
    const u64 seen = load_once(entry.word);
    const u64 difference = (load_once(entry.key.word[0]) ^ key.word[0]) | (load_once(entry.key.word[1]) ^ key.word[1]) |
                           (load_once(entry.key.word[2]) ^ key.word[2]);
    if (difference != 0 || !is_flow(seen)) continue;
    // The key may have been written after the word was read.
    if (flow_backend(load_once(entry.word)) != flow_backend(seen)) continue;
    word = seen;
    return &entry;
  }
  return nullptr;
}

/// How willing an entry is to make room: the smallest goes first. Empty, finished, UDP, TCP; the longest silent of
/// each.
LB_INLINE constexpr u64 worth(u64 word, u32 now) {
  if (flow_kind(word) == FlowKind::empty) return 0;
  if (!is_flow(word)) return ~u64{0};
  const u64 kind = is_finished(word) ? 1 : (word & flow_udp) != 0 ? 2 : 3;
  return kind << 32 | (0x7fff'ffff - age_of(flow_tick(word), now));
}

/// The entry of a bucket that is worth least.
struct Candidate {
  FlowEntry* entry = nullptr;
  u64 word = 0;
  u64 worth = ~u64{0};
};
LB_INLINE void weigh(FlowBucket* bucket, u32 now, Candidate& least) {
  if (!bucket) return;
  for (u32 i = 0; i < bucket_entries; ++i) {
    const u64 word = load_once(bucket->entry[i].word);
    const u64 value = worth(word, now);
    if (value >= least.worth) continue;
    least = {&bucket->entry[i], word, value};
  }
}

/// Leaves a trace of an established flow that has to go.
template <class T>
LB_INLINE void leave_ghost(const T& tables, u64 hash, u32 backend) {
  GhostLine* line = tables.ghosts(ghost_line(hash, tables.flow_sizes()));
  if (!line) return;
  u32 at = static_cast<u32>(hash >> 32) & (ghosts_per_line - 1);
  for (u32 i = 0; i < ghosts_per_line; ++i)
    if (load_once(line->ghost[i]) == 0) at = i;
  store_once(line->ghost[at & (ghosts_per_line - 1)], ghost_of(hash, backend));
}

/// Counts a flow that was evicted and now goes to another backend than the one it had; forgets its ghost.
template <class T>
LB_INLINE void lay_ghost(const T& tables, u64 hash, u32 backend, FlowCounters* counters) {
  GhostLine* line = tables.ghosts(ghost_line(hash, tables.flow_sizes()));
  if (!line) return;
  for (u32 i = 0; i < ghosts_per_line; ++i) {
    const u64 ghost = load_once(line->ghost[i]);
    if (!is_ghost_of(ghost, hash)) continue;
    store_once(line->ghost[i], u64{0});
    if (counters && flow_backend(ghost) != backend) counters->misroutes += 1;
  }
}

/// Counts what a claimed entry held, and leaves its ghost.
template <class T>
LB_INLINE void evict(const T& tables, const FlowKeys& keys, const FlowEntry& entry, u64 word) {
  if (!is_flow(word) || is_finished(word)) return;
  const FlowKey key = entry.key;
  if (flow_kind(word) == FlowKind::live) leave_ghost(tables, key_hash(keys, key), flow_backend(word));
  FlowCounters* counters = tables.flow_counters(key_service(key));
  if (!counters) return;
  if (flow_kind(word) == FlowKind::embryo)
    counters->evicted_embryo += 1;
  else if (word & flow_udp)
    counters->evicted_udp += 1;
  else
    counters->evicted_established += 1;
}

/// Enters a flow's first packet into the nursery. False when other CPUs were faster, twice.
template <class T>
LB_INLINE bool remember(const T& tables, const FlowKeys& keys, const FlowQuery& query, u64 hash, u32 backend, u32 now,
                        FlowCounters* counters) {
  FlowBucket* const bucket = tables.embryos(embryo_bucket(hash, tables.flow_sizes()));
  Candidate least;
  weigh(bucket, now, least);
  if (!least.entry) return false;
  if (!claim(*least.entry, least.word)) {
    least = {};
    weigh(bucket, now, least);
    if (!least.entry || !claim(*least.entry, least.word)) return false;
  }
  evict(tables, keys, *least.entry, least.word);
  const u64 flags = (opens(query.packet) ? 0 : flow_known) | (query.packet & query_udp ? flow_udp : 0) |
                    (query.packet & query_fin ? flow_client_fin : 0);
  fill(*least.entry, query.key, flow_word(backend, FlowKind::embryo, flags, now));
  if (counters) counters->remembered += 1;
  return true;
}

/// Moves a flow from the nursery to the established ones.
template <class T>
LB_INLINE void promote(const T& tables, const FlowKeys& keys, const FlowQuery& query, u64 hash, FlowEntry& embryo,
                       u64 embryo_word, u64 word, FlowCounters* counters) {
  const u32 now = flow_tick(word);
  const FlowSizes sizes = tables.flow_sizes();
  Candidate least;
  weigh(tables.flows(first_bucket(hash, sizes)), now, least);
  if (least.worth != 0) weigh(tables.flows(second_bucket(hash, sizes)), now, least);
  if (!least.entry || !claim(*least.entry, least.word)) return;  // its next packet tries again
  evict(tables, keys, *least.entry, least.word);
  fill(*least.entry, query.key, word);
  compare_and_swap(embryo.word, embryo_word, 0);
  if (counters) counters->promoted += 1;
}

/// A flow's entry, wherever it is.
template <class T>
LB_INLINE FlowEntry* find_flow(const T& tables, const FlowKey& key, u64 hash, u64& word) {
  const FlowSizes sizes = tables.flow_sizes();
  if (FlowEntry* entry = find_flow(tables.flows(first_bucket(hash, sizes)), key, word)) return entry;
  if (FlowEntry* entry = find_flow(tables.flows(second_bucket(hash, sizes)), key, word)) return entry;
  return find_flow(tables.embryos(embryo_bucket(hash, sizes)), key, word);
}

/// Begins to load what a flow that glance() has not found may be in, so that the memory is waited for once.
template <class T>
LB_INLINE void fetch(const T& tables, u64 hash) {
  const FlowSizes sizes = tables.flow_sizes();
  if (const FlowBucket* bucket = tables.flows(second_bucket(hash, sizes))) load_once(bucket->entry[0].word);
  if (const FlowBucket* bucket = tables.embryos(embryo_bucket(hash, sizes))) load_once(bucket->entry[0].word);
  if (const GhostLine* line = tables.ghosts(ghost_line(hash, sizes))) load_once(line->ghost[0]);
}

}  // namespace weir

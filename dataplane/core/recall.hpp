// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Where a flow of an unsettled row belongs: what is remembered of it, else what the row's state says. A settled row
// never comes here. Every packet's effect on the flow table is made here.
#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/tables.hpp"

namespace weir {

// What an engine's tables must offer beside what pick.hpp lists, as a type `T`. A verb returns null when there is no
// such record.
//   FlowSizes     flow_sizes()
//   FlowBucket*   embryos(u32 bucket)
//   FlowBucket*   flows(u32 bucket)
//   GhostLine*    ghosts(u32 line)
//   FlowCounters* flow_counters(u32 service)   of the CPU that runs
//   u32           tick()                       the time, see tick_of
//   u64           recall(FlowQuery&)           recall_flow(*this, query), perhaps out of line
//   u64           consult(FlowQuery&)          consult_flow(*this, query), likewise
//   void          note(const FlowKey&, u8)     note_answer(*this, key, flags), likewise
//   void          report(const EndedFlow&)     tells the control plane that a RST went to the client

/// A flow whose client has been told that it has ended, so that its backend can be told as well.
struct EndedFlow {
  Ip source;
  u32 ports;  // as in Packet
  u32 service_id;
  u32 sequence;  // network byte order: of the packet that was answered, so what the backend expects next
  u32 ingress;   // index of the interface that it came from
};

/// What a packet asks of the flow table.
struct FlowQuery {
  FlowKey key;
  Row row;
  u64 timeouts;  // as in Service
  u32 packet;    // query_* below
  u32 reserved;
};
// The packet's TCP flags are the low byte.
inline constexpr u32 query_fin = 0x01;
inline constexpr u32 query_syn = 0x02;
inline constexpr u32 query_rst = 0x04;
inline constexpr u32 query_ack = 0x10;
inline constexpr u32 query_udp = 0x100;
inline constexpr u32 query_track_all = 0x200;

LB_INLINE constexpr bool opens(u32 packet) {
  return (packet & (query_syn | query_ack | query_rst | query_udp)) == query_syn;
}

/// What recall_flow returns: the backend in the low half, and whether the operator has ended the flow.
inline constexpr u64 recalled_ended = u64{1} << 32;
LB_INLINE constexpr u32 recalled_backend(u64 recalled) { return static_cast<u32>(recalled); }

inline constexpr u32 embryo_idle = ticks_of_seconds(64);  // a SYN's last retransmission comes 63 s after it (RFC 6298)

/// Whether the flow needs no backend any more: reset, or closed from both sides.
LB_INLINE constexpr bool is_finished(u64 word) {
  return (word & flow_reset) != 0 ||
         (word & (flow_client_fin | flow_backend_fin)) == (flow_client_fin | flow_backend_fin);
}
/// Whether the flow has been silent for so long that it counts as gone.
LB_INLINE constexpr bool is_expired(u64 word, u64 timeouts, u32 now) {
  const u32 age = age_of(flow_tick(word), now);
  if (word & (flow_client_fin | flow_backend_fin | flow_reset | flow_killed)) return age > timeout_closing(timeouts);
  if (flow_kind(word) == FlowKind::embryo && (word & (flow_known | flow_udp)) == 0) return age > embryo_idle;
  return age > timeout_idle(timeouts);
}

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

/// Enters a flow's first packet into the nursery.
template <class T>
LB_INLINE void remember(const T& tables, const FlowKeys& keys, const FlowQuery& query, u64 hash, u32 backend, u32 now,
                        FlowCounters* counters) {
  Candidate least;
  weigh(tables.embryos(embryo_bucket(hash, tables.flow_sizes())), now, least);
  if (!least.entry || !claim(*least.entry, least.word)) return;  // its next packet tries again
  evict(tables, keys, *least.entry, least.word);
  const u64 flags = (opens(query.packet) ? 0 : flow_known) | (query.packet & query_udp ? flow_udp : 0) |
                    (query.packet & query_fin ? flow_client_fin : 0);
  fill(*least.entry, query.key, flow_word(backend, FlowKind::embryo, flags, now));
  if (counters) counters->remembered += 1;
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

/// What state a backend is in; a record that nobody uses is dead.
template <class T>
LB_INLINE BackendState state_of(const T& tables, u32 id) {
  const Backend* backend = id == nobody ? nullptr : tables.backend(id);
  if (!backend || load_once(backend->in_use) == 0) return BackendState::dead;
  return static_cast<BackendState>(load_once(backend->state));
}

/// Where a flow goes of which nothing is known. SYNs are not asked for.
template <class T>
LB_INLINE u32 row_alone(const T& tables, Row row) {
  const u32 stable = row_stable(row);
  return row_state(row) == RowState::moving && state_of(tables, stable) != BackendState::dead ? stable : row_owner(row);
}

LB_INLINE constexpr u64 recalled(u32 backend, bool ended) { return u64{backend} | (ended ? recalled_ended : 0); }

/// The word of a flow after one more packet from the client.
LB_INLINE constexpr u64 touched(u64 word, u32 packet, u32 now) {
  u64 flags = flow_flags(word);
  if (packet & query_fin) flags |= flow_client_fin;
  if (packet & query_rst)
    flags |= flow_reset;
  else
    flags &= ~flow_reset;  // it lives on, so the RST was not its own
  return flow_word(flow_backend(word), FlowKind::live, flags, now);
}

/// A flow that is remembered, in `entry`.
template <class T>
LB_INLINE u64 go_on(const T& tables, const FlowKeys& keys, const FlowQuery& query, u64 hash, FlowEntry& entry, u64 word,
                    u32 now, FlowCounters* counters) {
  const bool lasting = row_state(query.row) == RowState::moving || (query.packet & query_track_all) != 0;
  const u32 backend = flow_backend(word);
  const BackendState state = state_of(tables, backend);
  const bool syn = opens(query.packet);
  const bool stays = syn ? state == BackendState::open && !is_finished(word) && (word & flow_killed) == 0
                         : state != BackendState::dead;
  if (!stays) {
    const u32 owner = row_owner(query.row);
    const u64 flags = (word & flow_udp) | (syn ? 0 : word & flow_known);
    compare_and_swap(entry.word, word, lasting ? flow_word(owner, flow_kind(word), flags, now) : 0);
    if (counters) counters->reselected += 1;
    return recalled(owner, false);
  }
  if ((word & flow_killed) != 0 || state == BackendState::resetting) {
    if (!syn) return recalled(backend, true);
  }
  const u64 next = syn ? flow_word(backend, flow_kind(word), flow_flags(word), now) : touched(word, query.packet, now);
  if (flow_kind(word) == FlowKind::embryo && !syn)
    promote(tables, keys, query, hash, entry, word, next, counters);
  else if (next != word)
    compare_and_swap(entry.word, word, next);
  if (counters) counters->hits += 1;
  return recalled(backend, false);
}

/// Decides on a packet of a row that is not settled, or of a service that remembers every flow. `now` in ticks.
template <class T>
LB_INLINE u64 recall_flow(const T& tables, const FlowQuery& query) {
  const Globals* globals = tables.globals();
  if (!globals) return recalled(nobody, false);
  const FlowKeys& keys = globals->keys;
  const u32 now = tables.tick();
  const u64 hash = key_hash(keys, query.key);
  fetch(tables, hash);
  FlowCounters* counters = tables.flow_counters(key_service(query.key));
  u64 word = 0;
  if (FlowEntry* entry = find_flow(tables, query.key, hash, word)) {
    if (!is_expired(word, query.timeouts, now)) return go_on(tables, keys, query, hash, *entry, word, now, counters);
    compare_and_swap(entry->word, word, 0);
    if (counters) counters->expired += 1;
  }
  const bool syn = opens(query.packet);
  const u32 backend = syn ? row_owner(query.row) : row_alone(tables, query.row);
  if (!syn) {
    if (state_of(tables, backend) == BackendState::resetting) return recalled(backend, true);
    lay_ghost(tables, hash, backend, counters);
  }
  const bool lasting = row_state(query.row) == RowState::moving || (query.packet & query_track_all) != 0;
  if (lasting && (query.packet & query_rst) == 0 && backend != nobody)
    remember(tables, keys, query, hash, backend, now, counters);
  return recalled(backend, false);
}

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

/// The same judgement without any effect, for control messages and for whoever wants to know.
template <class T>
LB_INLINE u64 consult_flow(const T& tables, const FlowQuery& query) {
  const Globals* globals = tables.globals();
  if (!globals) return recalled(nobody, false);
  const bool syn = opens(query.packet);
  const u32 alone = syn ? row_owner(query.row) : row_alone(tables, query.row);
  u64 word = 0;
  if (!find_flow(tables, query.key, key_hash(globals->keys, query.key), word) ||
      is_expired(word, query.timeouts, tables.tick()))
    return recalled(alone, !syn && state_of(tables, alone) == BackendState::resetting);
  const BackendState state = state_of(tables, flow_backend(word));
  if (syn)
    return recalled(state == BackendState::open && !is_finished(word) && (word & flow_killed) == 0
                        ? flow_backend(word)
                        : row_owner(query.row),
                    false);
  if (state == BackendState::dead) return recalled(row_owner(query.row), false);
  return recalled(flow_backend(word), (word & flow_killed) != 0 || state == BackendState::resetting);
}

/// Notes a FIN or RST of the backend's side in the flow that it answers. `packet` as in FlowQuery.
template <class T>
LB_INLINE void note_answer(const T& tables, const FlowKey& key, u32 packet) {
  const Globals* globals = tables.globals();
  if (!globals) return;
  u64 word = 0;
  FlowEntry* entry = find_flow(tables, key, key_hash(globals->keys, key), word);
  if (!entry) return;
  const u64 flags = (packet & query_fin ? flow_backend_fin : 0) | (packet & query_rst ? flow_reset : 0);
  if ((word & flags) != flags) compare_and_swap(entry->word, word, word | flags);
}

}  // namespace weir

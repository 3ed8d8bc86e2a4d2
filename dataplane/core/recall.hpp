// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Where a flow of an unsettled row belongs: what is remembered of it, else what the row's state says. A settled row
// never comes here. Every packet's effect on the flow table is made here.
#pragma once

#include "dataplane/core/flow_bucket.hpp"

namespace weir {

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

/// Whether the flow table holds this packet's flow, once it is entered.
LB_INLINE constexpr bool remembers(const FlowQuery& query) {
  return row_state(query.row) == RowState::moving || (query.packet & query_track_all) != 0;
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
  const u32 backend = flow_backend(word);
  const BackendState state = state_of(tables, backend);
  const bool syn = opens(query.packet);
  const bool stays = syn ? state == BackendState::open && !is_finished(word) && (word & flow_killed) == 0
                         : state != BackendState::dead;
  if (!stays) {
    const u32 owner = row_owner(query.row);
    const u64 flags = (word & flow_udp) | (syn ? 0 : word & flow_known);
    compare_and_swap(entry.word, word, remembers(query) ? flow_word(owner, flow_kind(word), flags, now) : 0);
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
  }
  lay_ghost(tables, hash, backend, syn ? nullptr : counters);  // a SYN begins anew, what was evicted is over
  if (!remembers(query) || (query.packet & query_rst) != 0 || backend == nobody) return recalled(backend, false);
  const bool known = remember(tables, keys, query, hash, backend, now, counters);
  // A flow that could not be entered begins where its next packets, of which nothing is known, will go.
  return recalled(known || !syn ? backend : row_alone(tables, query.row), false);
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

// SPDX-License-Identifier: Apache-2.0
#include "control/flows/sweep.hpp"

#include <algorithm>

#include "control/flows/entry.hpp"

namespace weir::flows {
namespace {

/// Counts a flow that has been freed because it is over.
void count_end(ServiceFlows& service, u64 word) {
  if (flow_kind(word) == FlowKind::embryo && (word & (flow_known | flow_udp)) == 0) {
    ++service.unanswered;
    return;
  }
  Closed why = Closed::idle;
  if (word & (flow_client_fin | flow_backend_fin)) why = Closed::fin;
  if (word & flow_reset) why = Closed::rst;
  if (word & flow_killed) why = Closed::killed;
  ++service.closed[static_cast<u32>(why)];
}

}  // namespace

Sweep::Sweep(FlowMemory& flows, const TableMemory& tables, u32 now_tick, Unsettled unsettled)
    : flows_(flows), tables_(tables), strangers_(tables.services.size()) {
  survey_.tick = now_tick;
  survey_.services.resize(tables.services.size());
  survey_.backends.resize(tables.backends.size());
  for (u32 id = 1; id < strangers_.size(); ++id) {
    const Service& service = tables.services[id];
    if (load_once(service.in_use) == 0 || !(unsettled.empty() || (id < unsettled.size() && unsettled[id]))) continue;
    Strangers& strangers = survey_.rows[id];  // stays where it is when others follow
    strangers.table = load_once(service.table);
    strangers.bits.resize(((u64{1} << table_log2_rows(strangers.table)) + 63) / 64);
    strangers_[id] = &strangers;
  }
}

// The nursery comes first: the fast path writes a promoted flow into its new place before it empties the old one, so a
// flow that has left the nursery before the pass has come to it is among the established ones by then, and those come
// later. It may be counted twice, never not at all.
bool Sweep::step(u32 buckets) {
  const u64 embryos = flows_.embryos.size();
  const u64 all = embryos + flows_.flows.size();
  const u64 end = std::min<u64>(next_ + buckets, all);
  for (; next_ < std::min(end, embryos); ++next_)
    for (FlowEntry& entry : flows_.embryos[next_].entry) look(entry, true);
  for (; next_ < end; ++next_)
    for (FlowEntry& entry : flows_.flows[next_ - embryos].entry) look(entry, false);
  look_at_rows();
  return next_ == all;
}

void Sweep::look(FlowEntry& entry, bool nursery) {
  if (load_once(entry.word) == 0) return;
  Seen seen;
  if (!read(entry, seen)) return;
  const u32 id = key_service(seen.key);
  const auto is_used = [](const auto& records, u32 i) {
    return i < records.size() && load_once(records[i].in_use) != 0;
  };
  // A record that is not in use has no flows, and its id is not given out again before a pass has freed them.
  if (!is_used(tables_.services, id) || !is_used(tables_.backends, flow_backend(seen.word))) {
    free(entry, seen.word);
    return;
  }
  const Service& service = tables_.services[id];
  if (is_expired(seen.word, load_once(service.timeouts), survey_.tick)) {
    if (!free(entry, seen.word)) return look(entry, nursery);  // it has just sent
    count_end(survey_.services[id], seen.word);
    return;
  }
  const u64 table = load_once(service.table);
  if (!strangers_[id] && (table & table_track_all) != 0) return count(id, seen.word, nursery);
  const u32 row = row_index(table, hash_of(tables_.globals->keys, service, table, seen.key));
  if (row < tables_.rows.size()) __builtin_prefetch(&tables_.rows[row]);
  pending_[waiting_++] = {&entry, seen.word, table, id, row, nursery};
  if (waiting_ == pending_.size()) look_at_rows();
}

// Rows lie anywhere in half a megabyte and more: a few are asked for at once, instead of waiting for each.
void Sweep::look_at_rows() {
  for (std::size_t i = 0; i < waiting_; ++i) judge(pending_[i]);
  waiting_ = 0;
}

void Sweep::judge(const Pending& flow) {
  const Row row = flow.row < tables_.rows.size() ? load_once(tables_.rows[flow.row]) : 0;
  // The fast path does not look for the flows of a settled row. Once the row is moved again, what stands here would be
  // of an earlier time.
  if (row_state(row) == RowState::settled && (flow.table & table_track_all) == 0) {
    free(*flow.entry, flow.word);
    return;
  }
  if (Strangers* const strangers = strangers_[flow.service])
    if ((row_owner(row) != flow_backend(flow.word) || (flow.word & flow_killed) != 0) && strangers->table == flow.table)
      strangers->set(flow.row - table_first_row(flow.table));
  count(flow.service, flow.word, flow.nursery);
}

void Sweep::count(u32 id, u64 word, bool nursery) {
  ServiceFlows& service = survey_.services[id];
  BackendFlows& backend = survey_.backends[flow_backend(word)];
  ++service.entries;
  ++(nursery ? survey_.embryos : survey_.entries);
  if (nursery) ++service.embryos;
  if (word & flow_killed) {
    ++backend.killed;
  } else if (is_finished(word)) {
    ++backend.finished;
  } else {
    if (backend.remaining == 0 || static_cast<int>(flow_tick(word) - backend.last_tick) > 0)
      backend.last_tick = flow_tick(word);
    ++backend.remaining;
  }
}

// An entry that has changed since it was read belongs to somebody: it stays, and is judged by the next pass.
bool Sweep::free(FlowEntry& entry, u64 word) {
  if (compare_and_swap(entry.word, word, 0) != word) return false;
  ++survey_.freed;
  return true;
}

Survey sweep(FlowMemory& flows, const TableMemory& tables, u32 now_tick, const Unsettled& unsettled) {
  Sweep pass(flows, tables, now_tick, unsettled);
  while (!pass.step(1U << 20)) continue;
  return pass.take();
}

}  // namespace weir::flows

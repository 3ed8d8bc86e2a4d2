// SPDX-License-Identifier: Apache-2.0
#include "tools/lbchurn/scheme.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "control/flows/sweep.hpp"
#include "control/table/row_change.hpp"

namespace weir::lbchurn {
namespace {

constexpr u32 service_id = 1;
constexpr u32 idle_seconds = 3 * 3600;
const Be32 vip = to_be(u32{0xcb00710a});  // 203.0.113.10

FlowKeys keys_of(u64 seed) {
  std::mt19937_64 random(seed);
  FlowKeys keys{};
  for (u32& add : keys.add) add = static_cast<u32>(random());
  keys.multiply = random() | 1;
  return keys;
}

u32 tick_at(double seconds) { return tick_of(static_cast<u64>(std::llround(seconds * 1e9))); }

}  // namespace

Scheme::Scheme(Keeping keeping, const FlowStudy& wanted, u32 backends)
    : keeping_(keeping),
      settle_(wanted.settle),
      tables_(sizes_for(1, backends, wanted.rows)),
      flows_(flow_sizes_for(wanted.entries, wanted.embryos)),
      counters_(service_id + 1),
      moved_(wanted.rows),
      core_(
          tables_.memory(), [](const Ip&, const Ip&, u32) { return Route{}; }, [] { return true; },
          {.memory = flows_.memory(), .tick = [this] { return tick_; }, .counters = counters_}) {
  TableMemory& memory = tables_.memory();
  initialise(memory, keys_of(wanted.seed));
  Service& service = memory.services[service_id];
  const u32 log2_rows = static_cast<u32>(std::countr_zero(wanted.rows));
  service.table = table_word(0, log2_rows, HashOn::five_tuple, 0, keeping == Keeping::full);
  service.vip = ip_from_v4(vip);
  service.port = Be16{to_be(u16{80})};
  service.protocol = Protocol::tcp;
  service.timeouts = timeouts_word(ticks_of_seconds(idle_seconds), ticks_of_seconds(wanted.closing));
  service.in_use = 1;
  for (u32 id = 1; id <= backends; ++id) {
    memory.backends[id].in_use = 1;
    memory.backends[id].service = service_id;
  }
}

u32 Scheme::forward(const ClientPacket& packet, double now) {
  tick_ = tick_at(now);
  const V4 net{to_be(packet.client), vip};
  const u32 ports = static_cast<u32>(packet.port) | 80U << 16;  // any fixed order serves: rows depend on it alone
  const Service& service = *core_.service(service_id);
  const u8 protocol = static_cast<u8>(Protocol::tcp);
  const Pick picked = pick(core_, *core_.globals(), service, net, ports, protocol);
  if (!picked.asks_memory()) return picked.backend;
  ++looked_up_;
  return recalled_backend(core_.recall(flow_query(picked, service, service_id, net, ports, protocol, packet.flags)));
}

void Scheme::change(std::span<const u32> table, std::span<const u32> weights, double now) {
  TableMemory& memory = tables_.memory();
  for (u32 id = 1; id < weights.size(); ++id)
    store_once(memory.backends[id].state,
               static_cast<u32>(weights[id] == 0 ? BackendState::draining : BackendState::open));
  const auto alive = [](u32 id) { return id != nobody; };
  for (u32 row = 0; row < table.size(); ++row) {
    const Row present = memory.rows[row];
    if (row_owner(present) == table[row]) continue;
    const Row next =
        keeping_ == Keeping::settled ? table::next_row(present, table[row], alive) : settled_row(table[row]);
    store_once(memory.rows[row], next);
    moved_[row] = now;
  }
}

void Scheme::sweep(double now, bool counts) {
  if (keeping_ == Keeping::stateless) return;
  TableMemory& memory = tables_.memory();
  const flows::Survey survey = flows::sweep(flows_.memory(), memory, tick_at(now));
  const flows::Strangers& strangers = survey.rows.at(service_id);
  for (u32 row = 0; row < moved_.size(); ++row) {
    const Row present = memory.rows[row];
    Row next = present;
    if (row_state(present) == RowState::pinned && !strangers.test(row)) next = table::nobody_left(present);
    if (row_state(present) == RowState::moving && now - moved_[row] >= settle_) next = table::window_closed(present);
    if (next != present) store_once(memory.rows[row], next);
  }
  const u64 entries = survey.entries + survey.embryos;
  most_ = std::max(most_, entries);
  if (!counts) return;
  entries_ += entries;
  ++sweeps_;
}

FlowFigures Scheme::figures() const {
  constexpr const char* names[] = {"stateless", "full tracking", "settled rows"};
  FlowFigures figures;
  figures.scheme = names[static_cast<u32>(keeping_)];
  figures.looked_up = looked_up_;
  figures.entries_mean = sweeps_ == 0 ? 0 : entries_ / sweeps_;
  figures.entries_most = most_;
  figures.evicted = counters_[service_id].evicted_established;
  return figures;
}

}  // namespace weir::lbchurn

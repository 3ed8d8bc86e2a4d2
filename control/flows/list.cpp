// SPDX-License-Identifier: Apache-2.0
#include "control/flows/list.hpp"

#include <algorithm>

#include "control/flows/entry.hpp"

namespace weir::flows {
namespace {

ConnState state_of(u64 word) {
  if (word & flow_killed) return ConnState::killed;
  if (word & (flow_client_fin | flow_backend_fin | flow_reset)) return ConnState::closing;
  return flow_kind(word) == FlowKind::embryo ? ConnState::fresh : ConnState::established;
}

/// What is known of an entry without its row, or nothing when its service has gone or its time is over.
std::optional<Conn> describe(const TableMemory& tables, const Seen& seen, u32 now) {
  const u32 id = key_service(seen.key);
  if (id >= tables.services.size()) return std::nullopt;
  const Service& service = tables.services[id];
  if (load_once(service.in_use) == 0 || is_expired(seen.word, load_once(service.timeouts), now)) return std::nullopt;
  const u32 ports = key_ports(seen.key);
  return Conn{.service = id,
              .backend = flow_backend(seen.word),
              .protocol = service.protocol,
              .state = state_of(seen.word),
              .source = key_source(seen.key),
              .destination = service.vip,
              .source_port = to_host(Be16{static_cast<u16>(ports)}),
              .destination_port = to_host(Be16{static_cast<u16>(ports >> 16)}),
              .idle = age_of(flow_tick(seen.word), now)};
}

u32 row_of(const TableMemory& tables, const FlowKey& key) {
  const Service& service = tables.services[key_service(key)];
  const u64 table = load_once(service.table);
  return row_index(table, hash_of(tables.globals->keys, service, table, key)) - table_first_row(table);
}

template <class T>
bool fits(const std::optional<T>& wanted, const T& present) {
  return !wanted || *wanted == present;
}
bool is_meant(const Filter& f, const Conn& c) {
  return fits(f.service, c.service) && fits(f.backend, c.backend) && fits(f.protocol, c.protocol) &&
         fits(f.source, c.source) && fits(f.source_port, c.source_port) && fits(f.destination, c.destination) &&
         fits(f.destination_port, c.destination_port);
}

constexpr u32 everything = 0xffffffff;

}  // namespace

std::string_view to_text(ConnState state) {
  switch (state) {
    case ConnState::fresh:
      return "new";
    case ConnState::established:
      return "established";
    case ConnState::closing:
      return "closing";
    case ConnState::killed:
      return "killed";
  }
  return "";
}

bool Walk::advance(u32 buckets, const std::function<void(FlowEntry&)>& visit) {
  const u64 embryos = flows_.embryos.size();
  const u64 all = embryos + flows_.flows.size();
  const u64 end = std::min<u64>(next_ + buckets, all);
  for (; next_ < end; ++next_) {
    FlowBucket& bucket = next_ < embryos ? flows_.embryos[next_] : flows_.flows[next_ - embryos];
    for (FlowEntry& entry : bucket.entry)
      if (load_once(entry.word) != 0) visit(entry);
  }
  return next_ < all;
}

bool Walk::step(u32 buckets, u32 now_tick, const std::function<void(const Conn&)>& sink) {
  return advance(buckets, [&](FlowEntry& entry) {
    Seen seen;
    if (!read(entry, seen)) return;
    auto conn = describe(tables_, seen, now_tick);
    if (!conn || !is_meant(filter_, *conn)) return;
    conn->row = row_of(tables_, seen.key);
    sink(*conn);
  });
}

u64 Walk::kill(u32 buckets, u32 now_tick, bool& done) {
  u64 killed = 0;
  done = !advance(buckets, [&](FlowEntry& entry) {
    // A packet of the flow changes the word now and then: the mark is set on what stands there after it. The time of
    // the mark counts as the flow's last packet, lest a flow that was silent is forgotten before it is told.
    for (Seen seen; read(entry, seen) && (seen.word & flow_killed) == 0;) {
      const auto conn = describe(tables_, seen, now_tick);
      if (!conn || !is_meant(filter_, *conn)) return;
      const u64 marked = flow_word(conn->backend, flow_kind(seen.word), flow_flags(seen.word) | flow_killed, now_tick);
      if (compare_and_swap(entry.word, seen.word, marked) != seen.word) continue;
      ++killed;
      return;
    }
  });
  return killed;
}

u64 count(FlowMemory& flows, const TableMemory& tables, const Filter& filter, u32 now_tick) {
  u64 found = 0;
  Walk(flows, tables, filter).step(everything, now_tick, [&found](const Conn&) { ++found; });
  return found;
}

u64 kill(FlowMemory& flows, const TableMemory& tables, const Filter& filter, u32 now_tick) {
  bool done = false;
  return Walk(flows, tables, filter).kill(everything, now_tick, done);
}

std::optional<Conn> find(FlowMemory& flows, const TableMemory& tables, u32 service, const Ip& source, u16 source_port,
                         u16 destination_port, u32 now_tick) {
  if (service >= tables.services.size()) return std::nullopt;
  const u32 ports = u32{to_be(source_port).raw} | u32{to_be(destination_port).raw} << 16;
  const V6 net{{{source.word[0]}, {source.word[1]}, {source.word[2]}, {source.word[3]}}, {}};
  const FlowKey key = flow_key(net, ports, service);
  MemoryFlows only;
  only.memory = flows;
  const MemoryTables view(tables, nullptr, nullptr, only);
  Seen seen{key, 0};
  if (!find_flow(view, key, key_hash(tables.globals->keys, key), seen.word)) return std::nullopt;
  auto conn = describe(tables, seen, now_tick);
  if (conn) conn->row = row_of(tables, key);
  return conn;
}

}  // namespace weir::flows

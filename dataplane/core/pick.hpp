// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Look-ups: from a packet to its service, from its hash to a row, from the row to a backend.
#pragma once

#include "dataplane/core/flow.hpp"
#include "dataplane/core/flow_query.hpp"
#include "dataplane/core/parse.hpp"
#include "dataplane/core/tables.hpp"

namespace weir {

// What an engine's tables must offer, as a type `T`. Each verb returns null when there is no such record.
//   const Globals*   globals()
//   const u64*       filter(u32 word)
//   const u64*       displacement(u32 bucket)
//   const IndexSlot* slot(u32 index)
//   const Service*   service(u32 id)
//   const Row*       row(u32 index)
//   const Backend*   backend(u32 id)
//   const Port*      port(u32 index)
//   Route            route(net, const Ip& from, u32 length)   way to a client; the engine knows the host's routes
//   bool             allow_answer()                           whether one more ICMP message may be sent now
// and the flow table, see flow_query.hpp.
struct Route {
  Verdict why;  // returned_nat when `hop` holds; too_big when a datagram of that length does not fit
  u64 hop;      // as in Backend; holds with too_big as well
  u32 mtu = 0;  // with too_big: the longest datagram that fits, in bytes
};

/// The value stored under (address, key), or 0. `Address` is Be32 or Be32[4].
template <class T, class Address>
LB_INLINE u32 find(const T& tables, const Globals& globals, const Address& address, u32 key) {
  const u64 hash = index_hash(address_word(address), key);
  const u64* displacement = tables.displacement(static_cast<u32>(hash >> globals.bucket_shift));
  if (!displacement) return 0;
  const IndexSlot* slot = tables.slot(static_cast<u32>((hash * load_once(*displacement)) >> globals.slot_shift));
  if (!slot) return 0;
  // One load holds key and value, so a slot that is being refilled is seen as its old self or as a miss.
  const u64 word = load_once(slot->word);
  return static_cast<u32>(word) == key && same_address(slot->address, address) ? static_cast<u32>(word >> 32) : 0;
}

/// The row that `hash` falls on in the table that `table` describes.
LB_INLINE u32 row_index(u64 table, u64 hash) {
  return table_first_row(table) + static_cast<u32>(hash >> ((64 - table_log2_rows(table)) & 63));
}

/// Whether the index may know one of two addresses.
template <class T>
LB_INLINE bool is_known(const T& tables, const Globals& globals, u64 address) {
  const u32 bit = address_bit(address, globals.filter_shift);
  const u64* word = tables.filter(bit >> 6);
  return word && (load_once(*word) >> (bit & 63) & 1) != 0;
}

/// The service of (VIP, protocol, port): the one of just this port, else the one of every port. 0: none.
template <class T, class Address>
LB_INLINE u32 find_service(const T& tables, const Globals& globals, const Address& vip, u8 protocol, Be16 port) {
  const u32 id = find(tables, globals, vip, key_word(KeyKind::service, protocol, port));
  return id ? id : find(tables, globals, vip, key_word(KeyKind::service, protocol, Be16{0}));
}

/// The nat backend whose answers come from (address, protocol, port). 0: none.
template <class T, class Address>
LB_INLINE u32 find_answering(const T& tables, const Globals& globals, const Address& address, u8 protocol, Be16 port) {
  const u32 id = find(tables, globals, address, key_word(KeyKind::answer, protocol, port));
  return id ? id : find(tables, globals, address, key_word(KeyKind::answer, protocol, Be16{0}));
}

/// Where a flow belongs as far as its row can tell. `backend` is `nobody` when the row has no owner.
struct Pick {
  u64 table;  // the service's table word
  u64 hash;
  Row row_word;
  u32 row;
  u32 backend;
  bool row_exists;

  /// Whether the flow table has a say.
  LB_INLINE bool asks_memory() const { return (row_word >> (2 * backend_id_bits) | (table & table_track_all)) != 0; }
};

template <class Net, class T>
LB_INLINE Pick pick(const T& tables, const Globals& globals, const Service& service, const Net& net, u32 ports,
                    u8 protocol) {
  Pick p{};
  p.table = load_once(service.table);
  p.hash = flow_hash(globals.keys, table_hash(p.table), net, ports, protocol);
  p.row = row_index(p.table, p.hash);
  const Row* row = tables.row(p.row);
  p.row_exists = row != nullptr;
  p.row_word = row ? load_once(*row) : 0;
  p.backend = row_owner(p.row_word);
  return p;
}

/// What a packet of a flow asks of the flow table. `flags` are TCP's.
template <class Net>
LB_INLINE FlowQuery flow_query(const Pick& p, const Service& service, u32 service_id, const Net& net, u32 ports,
                               u8 protocol, u8 flags) {
  const u32 packet = (protocol == static_cast<u8>(Protocol::udp) ? query_udp : flags) |
                     (p.table & table_track_all ? query_track_all : 0);
  return {flow_key(net, ports, service_id), p.row_word, load_once(service.timeouts), packet, 0};
}

/// A number that spreads flows over the outer headers' varying bits. It is mixed anew from the flow's hash, so that the
/// flows of one row do not share it.
LB_INLINE constexpr u32 flow_spread(u64 hash) { return static_cast<u32>((hash * 0x9e37'79b9'7f4a'7c15ULL) >> 32); }

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Look-ups: from a packet to its service, from its hash to a row, from the row to a backend.
#pragma once

#include "dataplane/core/flow.hpp"
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

/// The id of the flow's backend; `nobody` when the row has no owner.
template <class Net, class T>
LB_INLINE u32 pick(const T& tables, const Globals& globals, const Service& service, const Packet<Net>& packet) {
  const u64 table = load_once(service.table);
  const u64 hash = flow_hash(globals.keys, table_hash(table), packet.net, packet.ports, packet.protocol);
  const Row* row = tables.row(row_index(table, hash));
  return row ? row_owner(load_once(*row)) : nobody;
}

}  // namespace weir

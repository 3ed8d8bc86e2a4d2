// SPDX-License-Identifier: Apache-2.0
// One entry of the flow table, read while the fast path writes.
#pragma once

#include "dataplane/core/pick.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::flows {

/// An entry's key and word as they belong together.
struct Seen {
  FlowKey key;
  u64 word = 0;
};

/// Reads an entry; false when it holds no flow. The word is read before and after the key: the fast path claims the
/// word before it writes a key, and writes the word last, so two equal words enclose one flow's key. (But for a flow
/// that takes the entry between the two with the same backend and flags in the same quarter of a second.) An entry that
/// changes hands meanwhile is read anew; after a few times it counts as empty, its flow as begun after this look.
[[nodiscard]] inline bool read(const FlowEntry& entry, Seen& seen) {
  for (u32 tries = 0; tries < 4; ++tries) {
    seen.word = load_once(entry.word);
    if (!is_flow(seen.word)) return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (u32 i = 0; i < 3; ++i) seen.key.word[i] = load_once(entry.key.word[i]);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (load_once(entry.word) == seen.word) return true;
  }
  return false;
}

/// The hash that the core picks the flow's row with.
[[nodiscard]] inline u64 hash_of(const FlowKeys& keys, const Service& service, u64 table, const FlowKey& key) {
  const Ip source = key_source(key);
  const u8 protocol = static_cast<u8>(service.protocol);
  if (is_v4(source) && is_v4(service.vip))
    return flow_hash(keys, table_hash(table), V4{{source.word[3]}, {service.vip.word[3]}}, key_ports(key), protocol);
  V6 net{};
  for (u32 i = 0; i < 4; ++i) {
    net.source[i].raw = source.word[i];
    net.destination[i].raw = service.vip.word[i];
  }
  return flow_hash(keys, table_hash(table), net, key_ports(key), protocol);
}

}  // namespace weir::flows

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/table_memory.hpp"

#include <algorithm>
#include <bit>

namespace weir {

TableSizes sizes_for(u32 services, u32 backends, u32 rows) {
  const u32 keys = std::max<u32>(2 * services + backends, 8);
  // 2^8 of each at least, so that the shifts stay well inside 64 bits.
  return {.buckets = std::bit_ceil(std::max<u32>(keys / 2, 256)),
          .slots = std::bit_ceil(std::max<u32>(2 * keys, 256)),
          .services = services + 1,
          .rows = rows,
          .backends = backends + 1};
}

void initialise(TableMemory& memory, const FlowKeys& keys) {
  Globals& globals = *memory.globals;
  globals.version = layout_version;
  globals.bucket_shift = 64 - static_cast<u32>(std::countr_zero(memory.buckets.size()));
  globals.slot_shift = 64 - static_cast<u32>(std::countr_zero(memory.slots.size()));
  globals.keys = keys;
  std::fill(memory.buckets.begin(), memory.buckets.end(), first_displacement);
  store_once(globals.magic, layout_magic);
}

OwnedTables::OwnedTables(const TableSizes& sizes)
    : buckets_(sizes.buckets),
      slots_(sizes.slots),
      services_(sizes.services),
      rows_(sizes.rows),
      backends_(sizes.backends),
      ports_(port_count),
      memory_{&globals_, buckets_, slots_, services_, rows_, backends_, ports_} {}

}  // namespace weir

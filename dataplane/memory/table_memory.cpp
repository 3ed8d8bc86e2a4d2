// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/table_memory.hpp"

#include <algorithm>
#include <bit>

namespace weir {

TableSizes sizes_for(u32 services, u32 backends, u32 rows) {
  const u32 keys = std::max<u32>(3 * services + 2 * backends, 8);
  const u32 addresses = std::max<u32>(services + backends, 64);
  // 2^8 of each at least, so that the shifts stay well inside 64 bits.
  return {.filter = std::bit_ceil(addresses) * 8 / 64,
          .buckets = std::bit_ceil(std::max<u32>(keys / 2, 256)),
          .slots = std::bit_ceil(std::max<u32>(2 * keys, 256)),
          .services = services + 1,
          .backends = backends + 1,
          .rows = rows};
}

TableMemory tables_in(void* image, const TableSizes& sizes) {
  auto* start = static_cast<u8*>(image);
  const TableOffsets at = offsets_of(sizes);
  return {.globals = reinterpret_cast<Globals*>(start),
          .filter = {reinterpret_cast<u64*>(start + at.filter), sizes.filter},
          .buckets = {reinterpret_cast<u64*>(start + at.buckets), sizes.buckets},
          .slots = {reinterpret_cast<IndexSlot*>(start + at.slots), sizes.slots},
          .services = {reinterpret_cast<Service*>(start + at.services), sizes.services},
          .rows = {reinterpret_cast<Row*>(start + at.rows), sizes.rows},
          .backends = {reinterpret_cast<Backend*>(start + at.backends), sizes.backends},
          .ports = {reinterpret_cast<Port*>(start + at.ports), port_count}};
}

void initialise(TableMemory& memory, const FlowKeys& keys) {
  Globals& globals = *memory.globals;
  globals.version = layout_version;
  globals.bucket_shift = 64 - static_cast<u32>(std::countr_zero(memory.buckets.size()));
  globals.slot_shift = 64 - static_cast<u32>(std::countr_zero(memory.slots.size()));
  globals.filter_shift = 64 - 6 - static_cast<u32>(std::countr_zero(memory.filter.size()));
  globals.keys = keys;
  globals.service_bytes = sizeof(Service);
  globals.backend_bytes = sizeof(Backend);
  globals.sizes = {.filter = static_cast<u32>(memory.filter.size()),
                   .buckets = static_cast<u32>(memory.buckets.size()),
                   .slots = static_cast<u32>(memory.slots.size()),
                   .services = static_cast<u32>(memory.services.size()),
                   .backends = static_cast<u32>(memory.backends.size()),
                   .rows = static_cast<u32>(memory.rows.size())};
  std::fill(memory.buckets.begin(), memory.buckets.end(), first_displacement);
  store_once(globals.magic, layout_magic);
}

OwnedTables::OwnedTables(const TableSizes& sizes)
    : image_((offsets_of(sizes).end + sizeof(Line) - 1) / sizeof(Line)), memory_(tables_in(image_.data(), sizes)) {}

}  // namespace weir

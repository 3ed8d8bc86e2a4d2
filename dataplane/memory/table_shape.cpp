// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/table_shape.hpp"

#include <algorithm>
#include <cstring>

namespace weir {
namespace {

constexpr u32 record_bytes_before_they_were_told = 64;  // of services and backends, version 2

template <class Record>
void copy(const u8* from, u32 bytes, std::span<Record> to) {
  for (std::size_t i = 0; i < to.size(); ++i)
    std::memcpy(static_cast<void*>(&to[i]), from + i * bytes, std::min<std::size_t>(bytes, sizeof(Record)));
}

}  // namespace

std::optional<TableShape> shape_of(const Globals& globals) {
  if (globals.magic != layout_magic || globals.version < oldest_version || globals.version > layout_version) return {};
  const auto told = [](u32 bytes) { return bytes != 0 ? bytes : record_bytes_before_they_were_told; };
  TableShape shape{globals.version, globals.sizes, told(globals.service_bytes), told(globals.backend_bytes),
                   offsets_of(globals.sizes)};
  shape.at.backends = shape.at.services + u64{shape.service_bytes} * shape.sizes.services;
  shape.at.rows = shape.at.backends + u64{shape.backend_bytes} * shape.sizes.backends;
  shape.at.end = shape.at.rows + sizeof(Row) * shape.sizes.rows;
  return shape;
}

bool is_present_layout(const TableShape& shape) {
  return shape.version == layout_version && shape.service_bytes == sizeof(Service) &&
         shape.backend_bytes == sizeof(Backend);
}

void take_over(const void* image, const TableShape& from, TableMemory& to) {
  const auto* start = static_cast<const u8*>(image);
  Globals globals = *reinterpret_cast<const Globals*>(start);
  globals.magic = 0;
  globals.version = layout_version;
  globals.service_bytes = sizeof(Service);
  globals.backend_bytes = sizeof(Backend);
  *to.globals = globals;
  copy(start + from.at.ports, sizeof(Port), to.ports);
  copy(start + from.at.filter, sizeof(u64), to.filter);
  copy(start + from.at.buckets, sizeof(u64), to.buckets);
  copy(start + from.at.slots, sizeof(IndexSlot), to.slots);
  copy(start + from.at.services, from.service_bytes, to.services);
  copy(start + from.at.backends, from.backend_bytes, to.backends);
  copy(start + from.at.rows, sizeof(Row), to.rows);
  store_once(to.globals->magic, layout_magic);
}

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/table_shape.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

namespace {

using namespace weir;

const TableSizes sizes = sizes_for(4, 6, 512);

/// Globals as a program of another version has left them.
Globals globals_of(u32 version, u32 service_bytes, u32 backend_bytes) {
  OwnedTables tables(sizes);
  initialise(tables.memory(), FlowKeys{.add = {7}, .multiply = 9});
  Globals globals = *tables.memory().globals;
  globals.version = version;
  globals.service_bytes = service_bytes;
  globals.backend_bytes = backend_bytes;
  return globals;
}

TEST_CASE("tables older than the oldest version, newer than this program or of nobody are not taken over") {
  CHECK_FALSE(shape_of(globals_of(oldest_version - 1, 64, 64)));
  CHECK_FALSE(shape_of(globals_of(layout_version + 1, 64, 64)));
  CHECK_FALSE(shape_of(Globals{}));
  CHECK(shape_of(globals_of(oldest_version, 64, 64)));
}

TEST_CASE("tables that do not tell their records' length have records of 64 bytes") {
  const auto shape = shape_of(globals_of(2, 0, 0));
  REQUIRE(shape);
  CHECK(shape->service_bytes == 64);
  CHECK(shape->backend_bytes == 64);
  CHECK(shape->at.end == offsets_of(sizes).end);
}

TEST_CASE("only tables of this version and these records are used as they are") {
  CHECK(is_present_layout(*shape_of(globals_of(layout_version, sizeof(Service), sizeof(Backend)))));
  CHECK_FALSE(is_present_layout(*shape_of(globals_of(layout_version, sizeof(Service), 2 * sizeof(Backend)))));
  CHECK_FALSE(is_present_layout(*shape_of(globals_of(layout_version - 1, sizeof(Service), sizeof(Backend)))));
}

TEST_CASE("records of another length keep their ids and fields, what is new in them is zero") {
  const u32 backend_bytes = GENERATE(40U, 128U);
  const Globals globals = globals_of(2, 64, backend_bytes);
  const TableShape shape = *shape_of(globals);
  std::vector<u64> image(shape.at.end / sizeof(u64) + 1, 0);
  auto* const bytes = reinterpret_cast<u8*>(image.data());
  const auto put = [&](u64 at, const auto& value) { std::memcpy(bytes + at, &value, sizeof value); };
  put(0, globals);
  put(shape.at.ports + 3 * sizeof(Port), Port{0x1122, 3, 0});
  put(shape.at.filter, u64{0xf1});
  put(shape.at.buckets, u64{0xb1});
  put(shape.at.slots + sizeof(IndexSlot), IndexSlot{0x51, {}, 0});
  put(shape.at.services + 2 * 64, u64{0x5e});
  put(shape.at.backends + 6 * u64{backend_bytes}, u64{0xbe});
  put(shape.at.rows + 511 * sizeof(Row), make_row(RowState::moving, 5, 6));

  OwnedTables tables(sizes);
  take_over(bytes, shape, tables.memory());
  const TableMemory& memory = tables.memory();
  CHECK(memory.globals->version == layout_version);
  CHECK(memory.globals->magic == layout_magic);
  CHECK(memory.globals->backend_bytes == sizeof(Backend));
  CHECK(memory.globals->keys.add[0] == 7);
  CHECK(memory.ports[3].mac == 0x1122);
  CHECK(memory.filter[0] == 0xf1);
  CHECK(memory.buckets[0] == 0xb1);
  CHECK(memory.slots[1].word == 0x51);
  CHECK(memory.services[2].table == 0x5e);
  CHECK(memory.backends[6].hop == 0xbe);
  CHECK(memory.backends[6].state == 0);
  CHECK(memory.rows[511] == make_row(RowState::moving, 5, 6));
  CHECK(memory.rows[510] == 0);
}

}  // namespace

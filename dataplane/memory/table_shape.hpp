// SPDX-License-Identifier: Apache-2.0
// Tables of another layout: how an image says what it looks like, and how its contents move into today's.
//
// From one layout version to the next, tables keep their order and records keep their fields: new fields stand behind
// the old ones, or where `reserved` stood, and mean what they did not say before when they are zero.
#pragma once

#include <optional>

#include "dataplane/memory/table_memory.hpp"

namespace weir {

/// The oldest layout version whose tables can be taken over.
inline constexpr u32 oldest_version = 2;

struct TableShape {
  u32 version = 0;
  TableSizes sizes{};
  u32 service_bytes = 0;  ///< of one record
  u32 backend_bytes = 0;
  TableOffsets at{};
};

/// The shape of the image that begins with `globals`; none when it is no image, or of a version that cannot be taken
/// over: older than `oldest_version`, or newer than this program's.
[[nodiscard]] std::optional<TableShape> shape_of(const Globals& globals);

/// Whether the image can be used as it is.
[[nodiscard]] bool is_present_layout(const TableShape& shape);

/// Copies every table of `image`, whose shape is `from`, into `to`, zeroed tables of the same sizes. Ids, rows and keys
/// stay what they are.
void take_over(const void* image, const TableShape& from, TableMemory& to);

}  // namespace weir

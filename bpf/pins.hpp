// SPDX-License-Identifier: Apache-2.0
// Which of the program's maps are those of an earlier daemon, and how new ones take their places.
#pragma once

#include <bpf/libbpf.h>

#include <optional>
#include <string>
#include <vector>

#include "bpf/failure.hpp"
#include "bpf/mapped.hpp"
#include "dataplane/memory/table_shape.hpp"

namespace weir::bpf {

struct Pins {
  bool adopted = false;  ///< maps of an earlier daemon are taken over
  /// Set when the tables are of another layout: what they look like, and the tables themselves. The maps in `replaced`
  /// are then new ones, and have no pins until `replace_pins`.
  std::optional<TableShape> former;
  Mapped former_image;
  std::vector<std::string> replaced;
};

/// Decides, before `object` is loaded, which pinned maps below `pin_dir` it takes over, and gives every map that is not
/// replaced its pin path. Fails, and has touched nothing, when the pinned maps are incomplete, of other sizes, or of a
/// layout that cannot be taken over.
[[nodiscard]] Outcome<Pins> choose_pins(bpf_object* object, const std::string& pin_dir);

/// Puts the maps that replace others in their places, the tables last: cut short at any moment, what is pinned is
/// either the former tables or the new ones with all that they need.
[[nodiscard]] Outcome<> replace_pins(bpf_object* object, const Pins& pins, const std::string& pin_dir);

}  // namespace weir::bpf

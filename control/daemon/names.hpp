// SPDX-License-Identifier: Apache-2.0
// What the operator calls the records of the tables.
#pragma once

#include <string>
#include <unordered_map>

#include "control/daemon/fast_path.hpp"
#include "control/model/pool.hpp"

namespace weir::daemon {

/// As of its making; ids may later be given to others.
class Names {
 public:
  Names(const model::Pool& pool, FastPath& fast_path);

  /// "" for an id that no service has.
  [[nodiscard]] std::string service(u32 id) const;
  /// A backend that has been removed and keeps its flows is named by its endpoint; "" for nobody.
  [[nodiscard]] std::string backend(u32 id) const;

 private:
  TableMemory memory_;
  std::unordered_map<u32, std::string> services_, backends_;
};

}  // namespace weir::daemon

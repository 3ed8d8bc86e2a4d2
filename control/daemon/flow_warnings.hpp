// SPDX-License-Identifier: Apache-2.0
// What the flow table's counters give reason to say: pure, over totals and times.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/flow_table.hpp"

namespace weir::daemon {

class FlowWarnings {
 public:
  /// Takes over a service's totals at `now` (steady clock, seconds). Returns what is to be told at once: of each kind
  /// the first growth, and as long as it goes on one line a minute. Totals that an earlier daemon has left are no
  /// growth.
  std::vector<std::string> step(double now, const std::string& service, const FlowCounters& totals);
  /// Services that are not published any more are forgotten.
  void forget(const std::string& service) { seen_.erase(service); }

  /// What holds: misroutes ever, evictions within the last ten minutes.
  [[nodiscard]] std::vector<std::string> present(double now) const;

 private:
  struct Class {
    u64 total = 0;
    std::optional<double> grown;  // when it last did
    std::optional<double> told;
  };
  using Classes = std::array<Class, 3>;
  std::map<std::string, Classes> seen_;
};

}  // namespace weir::daemon

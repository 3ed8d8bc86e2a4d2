// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_warnings.hpp"

#include <fmt/format.h>

namespace weir::daemon {
namespace {

constexpr double told_every = 60;  // seconds
constexpr double remembered = 600;

enum Kind : std::size_t { misroutes, established, embryos };

std::string line(const std::string& service, std::size_t kind, u64 total) {
  switch (kind) {
    case misroutes:
      return fmt::format(
          "{}: {} established connections were evicted from the flow table and came back on another backend; raise "
          "limits.flows",
          service, total);
    case established:
      return fmt::format("{}: {} established flows were evicted from the flow table; raise limits.flows", service,
                         total);
    default:
      return fmt::format(
          "{}: {} flows of one packet were evicted from the nursery: a SYN flood, or limits.embryos is too small",
          service, total);
  }
}

}  // namespace

std::vector<std::string> FlowWarnings::step(double now, const std::string& service, const FlowCounters& totals) {
  const std::array<u64, 3> present{totals.misroutes, totals.evicted_established + totals.evicted_udp,
                                   totals.evicted_embryo};
  const bool known = seen_.contains(service);
  Classes& classes = seen_[service];
  std::vector<std::string> lines;
  for (std::size_t kind = 0; kind < classes.size(); ++kind) {
    Class& c = classes[kind];
    const bool grew = known && present[kind] > c.total;
    c.total = present[kind];
    if (!grew) continue;
    c.grown = now;
    if (c.told && now - *c.told < told_every) continue;
    c.told = now;
    lines.push_back(line(service, kind, c.total));
  }
  return lines;
}

std::vector<std::string> FlowWarnings::present(double now) const {
  std::vector<std::string> lines;
  for (const auto& [service, classes] : seen_)
    for (std::size_t kind = 0; kind < classes.size(); ++kind) {
      const Class& c = classes[kind];
      const bool recent = c.grown && now - *c.grown < remembered;
      if (recent || (kind == misroutes && c.total > 0)) lines.push_back(line(service, kind, c.total));
    }
  return lines;
}

}  // namespace weir::daemon

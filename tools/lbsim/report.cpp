// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/report.hpp"

#include <nlohmann/json.hpp>

#include "tools/lbsim/frames.hpp"

namespace weir::lbsim {
namespace {

using nlohmann::ordered_json;

const char* action_text(Action action) {
  return action == Action::pass ? "pass" : action == Action::drop ? "drop" : "transmit";
}

struct Field {
  const char* name;
  u64 Counters::*value;
};
constexpr Field fields[] = {{"packets", &Counters::packets},
                            {"bytes", &Counters::bytes},
                            {"return_packets", &Counters::return_packets},
                            {"return_bytes", &Counters::return_bytes},
                            {"connections", &Counters::connections}};

ordered_json difference(const Counters& before, const Counters& now) {
  ordered_json document = ordered_json::object();
  for (const Field& field : fields)
    if (now.*field.value != before.*field.value) document[field.name] = now.*field.value - before.*field.value;
  return document;
}

/// Every counter that has moved, under the name of what it counts.
ordered_json moved(Simulation& simulation, const Totals& before, const Totals& now) {
  ordered_json verdicts = ordered_json::object();
  ordered_json services = ordered_json::object();
  ordered_json backends = ordered_json::object();
  for (u32 v = 0; v < verdict_count; ++v)
    if (const auto& [packets, bytes] = now.verdicts[v]; packets != before.verdicts[v].packets)
      verdicts[verdict_table[v].name] = {{"packets", packets - before.verdicts[v].packets},
                                         {"bytes", bytes - before.verdicts[v].bytes}};
  for (u32 id = 1; id < now.services.size(); ++id)
    if (auto changed = difference(before.services[id], now.services[id]); !changed.empty())
      services[simulation.service_name(id)] = std::move(changed);
  for (u32 id = 1; id < now.backends.size(); ++id)
    if (auto changed = difference(before.backends[id], now.backends[id]); !changed.empty())
      backends[simulation.backend_name(id)] = std::move(changed);
  return {{"verdicts", std::move(verdicts)}, {"services", std::move(services)}, {"backends", std::move(backends)}};
}

Totals zero(const Totals& like) {
  Totals totals;
  totals.services.resize(like.services.size());
  totals.backends.resize(like.backends.size());
  return totals;
}

}  // namespace

std::string Report::passage(const Passage& passage) const {
  const Fate& fate = passage.fate;
  const VerdictInfo& info = verdict_table[static_cast<u32>(fate.verdict)];
  const Interface* egress = simulation_.world().indexed(fate.egress);
  const std::string service = simulation_.service_name(fate.service_id);
  const std::string backend = simulation_.backend_name(fate.backend_id);
  // An answer's way back is no pick: it has no row.
  const bool picked = fate.backend_id != 0 && fate.service_id != 0 && fate.verdict != Verdict::returned_nat &&
                      fate.verdict != Verdict::returned_icmp;
  if (!json_) {
    std::string line = fmt::format("{} {} {}", passage.number, passage.ingress.name, info.name);
    if (!service.empty()) line += " service=" + service;
    if (picked) line += fmt::format(" row={}", simulation_.row_in(fate.service_id, fate.row));
    if (!backend.empty()) line += " backend=" + backend;
    if (egress) line += fmt::format(" out={} {}", egress->name, hex(fate.frame));
    return line + "\n";
  }
  ordered_json document = {{"packet", passage.number}, {"in", passage.ingress.name},
                           {"verdict", info.name},     {"action", action_text(info.action)},
                           {"service", nullptr},       {"row", nullptr},
                           {"backend", nullptr},       {"out", nullptr},
                           {"frame", nullptr}};
  if (!service.empty()) document["service"] = service;
  if (picked) document["row"] = simulation_.row_in(fate.service_id, fate.row);
  if (!backend.empty()) document["backend"] = backend;
  if (egress) document["out"] = egress->name;
  if (info.action != Action::drop) document["frame"] = hex(fate.frame);
  document["counted"] = moved(simulation_, passage.before, simulation_.engine().totals());
  return document.dump() + "\n";
}

std::string Report::totals() const {
  const Totals& totals = simulation_.engine().totals();
  if (json_) {
    const ordered_json document = {{"counters", moved(simulation_, zero(totals), totals)}};
    return document.dump() + "\n";
  }
  std::string text = fmt::format("\n{:<26} {:>10} {:>14}  {}\n", "VERDICT", "PACKETS", "BYTES", "MEANING");
  for (u32 v = 0; v < verdict_count; ++v)
    if (const auto& [packets, bytes] = totals.verdicts[v]; packets != 0)
      text +=
          fmt::format("{:<26} {:>10} {:>14}  {}\n", verdict_table[v].name, packets, bytes, verdict_table[v].meaning);
  const auto table = [&](const char* heading, const std::vector<Counters>& all, const auto& name) {
    text += fmt::format("\n{:<26} {:>10} {:>14} {:>15} {:>14} {:>12}\n", heading, "PACKETS", "BYTES", "RETURN PACKETS",
                        "RETURN BYTES", "CONNECTIONS");
    for (u32 id = 1; id < all.size(); ++id)
      if (const Counters& c = all[id]; !name(id).empty())
        text += fmt::format("{:<26} {:>10} {:>14} {:>15} {:>14} {:>12}\n", name(id), c.packets, c.bytes,
                            c.return_packets, c.return_bytes, c.connections);
  };
  table("SERVICE", totals.services, [&](u32 id) { return simulation_.service_name(id); });
  table("BACKEND", totals.backends, [&](u32 id) { return simulation_.backend_name(id); });
  return text;
}

}  // namespace weir::lbsim

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/report.hpp"

#include <nlohmann/json.hpp>

#include "control/model/text.hpp"
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

struct FlowField {
  const char* name;
  u64 FlowCounters::*value;
};
constexpr FlowField flow_fields[] = {{"hits", &FlowCounters::hits},
                                     {"remembered", &FlowCounters::remembered},
                                     {"promoted", &FlowCounters::promoted},
                                     {"reselected", &FlowCounters::reselected},
                                     {"expired", &FlowCounters::expired},
                                     {"evicted_embryo", &FlowCounters::evicted_embryo},
                                     {"evicted_established", &FlowCounters::evicted_established},
                                     {"evicted_udp", &FlowCounters::evicted_udp},
                                     {"misroutes", &FlowCounters::misroutes},
                                     {"resets", &FlowCounters::resets}};

template <class Record, class Fields>
ordered_json differences(const Record& before, const Record& now, const Fields& all) {
  ordered_json document = ordered_json::object();
  for (const auto& field : all)
    if (now.*field.value != before.*field.value) document[field.name] = now.*field.value - before.*field.value;
  return document;
}
ordered_json difference(const Counters& before, const Counters& now) { return differences(before, now, fields); }
ordered_json difference(const FlowCounters& before, const FlowCounters& now) {
  return differences(before, now, flow_fields);
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
  ordered_json document = {
      {"verdicts", std::move(verdicts)}, {"services", std::move(services)}, {"backends", std::move(backends)}};
  ordered_json flows = ordered_json::object();
  for (u32 id = 1; id < now.flows.size(); ++id)
    if (auto changed = difference(before.flows[id], now.flows[id]); !changed.empty())
      flows[simulation.service_name(id)] = std::move(changed);
  if (!flows.empty()) document["flows"] = std::move(flows);
  return document;
}

Totals zero(const Totals& like) {
  Totals totals;
  totals.services.resize(like.services.size());
  totals.backends.resize(like.backends.size());
  totals.flows.resize(like.flows.size());
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
  if (simulation_.world().tells_flows()) {
    document["flows"] = list_flows(
        simulation_.engine().flows(), [this](u32 id) { return simulation_.service_name(id); },
        [this](u32 id) { return simulation_.backend_name(id); });
    document["ended"] = ordered_json::array();
    for (const EndedFlow& flow : fate.ended) document["ended"].push_back(ended_text(flow));
  }
  document["counted"] = moved(simulation_, passage.before, simulation_.engine().totals());
  return document.dump() + "\n";
}

std::string Report::ended_text(const EndedFlow& flow) const {
  const Interface* ingress = simulation_.world().indexed(flow.ingress);
  const model::Endpoint source{flow.source, to_host(Be16{static_cast<u16>(flow.ports)})};
  return fmt::format("{} {} seq={} in={}", simulation_.service_name(flow.service_id), model::to_text(source),
                     to_host(Be32{flow.sequence}), ingress ? ingress->name : "?");
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

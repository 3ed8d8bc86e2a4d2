// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/report.hpp"

#include "control/daemon/path_size.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {
namespace {

using nlohmann::json;

const char* state_text(net::HopState state) {
  switch (state) {
    case net::HopState::resolved:
      return "resolved";
    case net::HopState::resolving:
      return "resolving";
    case net::HopState::failed:
      return "failed";
    case net::HopState::no_route:
      return "no_route";
    case net::HopState::local:
      return "local";
    case net::HopState::loopback_or_unusable:
      return "unusable";
  }
  return "unknown";
}

void add_counters(json& document, const Counters& counters) {
  document["packets"] = counters.packets;
  document["bytes"] = counters.bytes;
  document["return_packets"] = counters.return_packets;
  document["return_bytes"] = counters.return_bytes;
  document["connections"] = counters.connections;
}

void add_flow_counters(json& document, const FlowCounters& counters) {
  document["flows_remembered"] = counters.remembered;
  document["flows_reselected"] = counters.reselected;
  document["flows_evicted_embryo"] = counters.evicted_embryo;
  document["flows_evicted_established"] = counters.evicted_established;
  document["flows_evicted_udp"] = counters.evicted_udp;
  document["flows_misrouted"] = counters.misroutes;
  document["flows_reset"] = counters.resets;
}

json report_hop(const Ip& address, FastPath& fast_path) {
  const auto hop = fast_path.watcher().current(address);
  if (!hop) return {{"state", "unknown"}, {"interface", ""}, {"gateway", ""}, {"mac", ""}};
  return {{"state", state_text(hop->state)},
          {"interface", hop->interface},
          {"gateway", hop->ifindex == 0 ? "" : model::to_text(hop->gateway)},
          {"mac", hop->state == net::HopState::resolved ? net::mac_text(hop->mac) : ""}};
}

json number_or_null(std::optional<u32> number) { return number ? json(*number) : json(nullptr); }

std::optional<u32> mtu_of(u32 backend, FastPath& fast_path) {
  const auto& backends = fast_path.memory().backends;
  return backend == nobody || backend >= backends.size() ? std::nullopt : known_mtu(load_once(backends[backend].mtu));
}

json report_drain(const model::Backend& backend) {
  if (!backend.drain) return nullptr;
  const auto& [started, deadline, then_remove, force_after, watch] = *backend.drain;
  return {{"started", started},
          {"deadline_seconds", deadline},
          {"then", then_remove ? json("remove") : json(nullptr)},
          {"force_after", force_after},
          {"watch_seconds", watch}};
}

json report_backend(const model::Service& service, const model::Backend& backend, const table::Placed& placed,
                    FastPath& fast_path, const FlowKeeper& flows) {
  const u32 id = backend_id(placed, backend);
  const u32 rows = rows_owned(placed, id);
  json document = {{"name", backend.name},
                   {"address", model::to_text(backend.endpoint)},
                   {"weight", backend.weight},
                   {"effective_weight", backend.effective_weight()},
                   {"admin", model::to_text(backend.admin)},
                   {"drain", report_drain(backend)},
                   {"health", "unknown"},
                   {"rows", rows},
                   {"share", static_cast<double>(rows) / service.rows},
                   {"mtu", number_or_null(mtu_of(id, fast_path))},
                   {"connections_active", flows.backend(id).remaining},
                   {"next_hop", report_hop(backend.endpoint.address, fast_path)}};
  add_counters(document, id == nobody ? Counters{} : fast_path.counting().backend(id));
  return document;
}

}  // namespace

u32 backend_id(const table::Placed& placed, const model::Backend& backend) {
  const auto found = placed.backends.find(model::to_text(backend.endpoint));
  return found == placed.backends.end() ? nobody : found->second;
}

u32 rows_owned(const table::Placed& placed, u32 backend) {
  const auto found = placed.rows_owned.find(backend);
  return backend == nobody || found == placed.rows_owned.end() ? 0 : found->second;
}

u64 active_flows(const table::Placed& placed, const FlowKeeper& flows) {
  u64 active = 0;
  for (const auto& [endpoint, id] : placed.backends) active += flows.backend(id).remaining;
  for (const auto& [endpoint, leaving] : placed.leaving) active += flows.backend(leaving.id).remaining;
  return active;
}

const char* action_text(Action action) {
  switch (action) {
    case Action::pass:
      return "pass";
    case Action::drop:
      return "drop";
    case Action::transmit:
      return "transmit";
  }
  return "drop";
}

std::vector<std::string> present_warnings(const Desired& desired, FastPath& fast_path) {
  constexpr std::size_t listed = 20;  // a rack that is down is one fact, not a thousand lines
  std::vector<std::string> all = desired.warnings();
  for (std::string& warning : fast_path.warnings()) all.push_back(std::move(warning));
  std::size_t unreachable = 0;
  for (const auto& [name, service] : desired.pool().services())
    for (const model::Backend& backend : service->backends) {
      const auto fine = fast_path.reachable_now(backend.endpoint.address, service->mode);
      if (!fine && ++unreachable <= listed)
        all.push_back(fmt::format("{}/{}: {}", name, backend.name, fine.error().message));
    }
  if (unreachable > listed)
    all.push_back(fmt::format("and {} more backends that cannot be reached", unreachable - listed));
  return all;
}

/// How full the flow table is, and how many rows ask it. A service that remembers only the flows of changed rows has
/// more flows than entries.
json report_flows(FastPath& fast_path, const FlowKeeper& flows) {
  const FlowMemory& memory = fast_path.flows();
  const table::RowTotals rows = fast_path.publisher().row_totals();
  return {{"entries", flows.survey().entries}, {"capacity", memory.flows.size() * bucket_entries},
          {"embryos", flows.survey().embryos}, {"embryo_capacity", memory.embryos.size() * bucket_entries},
          {"rows_moving", rows.moving},        {"rows_pinned", rows.pinned}};
}

json report_status(const Desired& desired, FastPath& fast_path, const FlowKeeper& flows) {
  std::size_t backends = 0;
  for (const auto& [name, service] : desired.pool().services()) backends += service->backends.size();
  json interfaces = json::array();
  for (const Interface& interface : fast_path.interfaces()) {
    const auto link = fast_path.watcher().link(interface.name);
    const char* mode = interface.mode == bpf::AttachMode::native ? "native" : "generic";
    interfaces.push_back({{"name", interface.name},
                          {"ifindex", interface.ifindex},
                          {"attached", interface.attached ? mode : "none"},
                          {"mac", link ? net::mac_text(link->mac) : ""},
                          {"up", link && link->up}});
  }
  std::vector<std::string> warnings = present_warnings(desired, fast_path);
  for (std::string& warning : flows.warnings()) warnings.push_back(std::move(warning));
  return {{"services", desired.pool().services().size()},
          {"backends", backends},
          {"interfaces", std::move(interfaces)},
          {"rows_used", fast_path.publisher().rows_used()},
          {"rows_limit", fast_path.memory().rows.size()},
          {"flows", report_flows(fast_path, flows)},
          {"warnings", std::move(warnings)}};
}

json report_service(const model::Service& service, FastPath& fast_path, const FlowKeeper& flows) {
  json document = {{"name", service.name},
                   {"vip", model::vip_text(service)},
                   {"protocol", model::to_text(service.protocol)},
                   {"mode", model::to_text(service.mode)},
                   {"hash", model::to_text(service.hash)},
                   {"rows", service.rows},
                   {"mss", service.mss},
                   {"track", model::to_text(service.track)},
                   {"on_remove", model::to_text(service.on_remove)},
                   {"settle_seconds", service.settle},
                   {"idle_seconds", service.idle},
                   {"idle_closing_seconds", service.idle_closing}};
  json backends = json::array();
  std::vector<std::optional<u32>> mtus;
  u32 owned = 0;
  const table::Placed* placed = fast_path.publisher().placed(service.name);
  const table::Placed none;
  for (const model::Backend& backend : service.backends) {
    backends.push_back(report_backend(service, backend, placed ? *placed : none, fast_path, flows));
    owned += backends.back()["rows"].get<u32>();
    mtus.push_back(placed ? mtu_of(backend_id(*placed, backend), fast_path) : std::nullopt);
  }
  document["backends"] = std::move(backends);
  const std::optional<u32> mtu = effective_mtu(mtus);
  document["mtu"] = number_or_null(mtu);
  document["effective_mss"] = number_or_null(effective_mss(service, mtu));
  document["state"] = owned > 0 ? "ok" : "no_backend";
  document["connections_active"] = placed ? active_flows(*placed, flows) : 0;
  add_counters(document, placed ? fast_path.counting().service(placed->id) : Counters{});
  return document;
}

json report_rows(const model::Service& service, FastPath& fast_path) {
  json names = json::array();
  json table = json::array();
  if (const table::Placed* placed = fast_path.publisher().placed(service.name)) {
    std::map<u32, int> index;
    for (const model::Backend& backend : service.backends) {
      index.emplace(backend_id(*placed, backend), static_cast<int>(names.size()));
      names.push_back(backend.name);
    }
    for (u32 i = 0; i < placed->rows; ++i) {
      const auto owner = index.find(row_owner(load_once(fast_path.memory().rows[placed->first_row + i])));
      table.push_back(owner == index.end() ? -1 : owner->second);
    }
  }
  return {
      {"service", service.name}, {"rows", service.rows}, {"backends", std::move(names)}, {"table", std::move(table)}};
}

json report_stats(const model::Pool& pool, FastPath& fast_path, const FlowKeeper& flows) {
  json verdicts = json::array();
  const bpf::VerdictTotals totals = fast_path.counting().verdicts();
  for (u32 i = 0; i < verdict_count; ++i)
    verdicts.push_back({{"name", verdict_table[i].name},
                        {"action", action_text(verdict_table[i].action)},
                        {"expected", verdict_table[i].expected},
                        {"packets", totals[i].packets},
                        {"bytes", totals[i].bytes},
                        {"meaning", verdict_table[i].meaning}});
  json services = json::array();
  json backends = json::array();
  for (const auto& [name, service] : pool.services()) {
    const table::Placed* placed = fast_path.publisher().placed(name);
    if (!placed) continue;
    services.push_back({{"name", name}});
    add_counters(services.back(), fast_path.counting().service(placed->id));
    add_flow_counters(services.back(), fast_path.counting().flows(placed->id));
    services.back()["connections_active"] = active_flows(*placed, flows);
    services.back()["rows_moving"] = placed->totals.moving;
    services.back()["rows_pinned"] = placed->totals.pinned;
    for (const model::Backend& backend : service->backends) {
      backends.push_back({{"service", name}, {"name", backend.name}});
      const u32 id = backend_id(*placed, backend);
      add_counters(backends.back(), fast_path.counting().backend(id));
      backends.back()["connections_active"] = flows.backend(id).remaining;
    }
  }
  return {{"verdicts", std::move(verdicts)}, {"services", std::move(services)}, {"backends", std::move(backends)}};
}

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
// Written out by hand: names of services and backends are [a-z0-9._-], so no label needs escaping, and counters stay
// exact 64-bit integers (a client library would make them doubles).
#include "control/daemon/metrics.hpp"

#include <fmt/format.h>

#include <iterator>

#include "control/daemon/report.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {
namespace {

/// One backend's or service's labels and figures, gathered once per scrape.
struct Sample {
  std::string labels;
  Counters counters;
};

class Text {
 public:
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class Number>
  void sample(const std::string& labels, Number value) {
    fmt::format_to(std::back_inserter(out_), "{}{{{}}} {}\n", name_, labels, value);
  }
  [[nodiscard]] std::string take() { return fmt::to_string(out_); }

 private:
  fmt::memory_buffer out_;
  const char* name_ = "";
};

void traffic(Text& text, const char* packets, const char* bytes, const char* connections,
             const std::vector<Sample>& samples) {
  text.family(packets, "counter", "Packets sent on; ingress: client to backend, egress: backend to client (nat).");
  for (const Sample& s : samples) {
    text.sample(s.labels + ",direction=\"ingress\"", s.counters.packets);
    text.sample(s.labels + ",direction=\"egress\"", s.counters.return_packets);
  }
  text.family(bytes, "counter", "Bytes of those packets, Ethernet header included.");
  for (const Sample& s : samples) {
    text.sample(s.labels + ",direction=\"ingress\"", s.counters.bytes);
    text.sample(s.labels + ",direction=\"egress\"", s.counters.return_bytes);
  }
  text.family(connections, "counter", "TCP connection attempts (SYN) sent to a backend.");
  for (const Sample& s : samples) text.sample(s.labels, s.counters.connections);
}

void verdicts(Text& text, FastPath& fast_path) {
  const bpf::VerdictTotals totals = fast_path.counting().verdicts();
  text.family("weir_packets_total", "counter", "Packets by what became of them.");
  for (u32 i = 0; i < verdict_count; ++i)
    text.sample(
        fmt::format("verdict=\"{}\",action=\"{}\"", verdict_table[i].name, action_text(verdict_table[i].action)),
        totals[i].packets);
  text.family("weir_drops_total", "counter", "Packets dropped, by reason.");
  for (u32 i = 0; i < verdict_count; ++i)
    if (verdict_table[i].action == Action::drop)
      text.sample(fmt::format("reason=\"{}\"", verdict_table[i].name), totals[i].packets);
}

struct BackendRow {
  Sample sample;
  u32 configured, effective, rows, active;
  Admin admin;
  std::optional<model::Drain> drain;
};

void backend_gauges(Text& text, const std::vector<BackendRow>& rows) {
  text.family("weir_backend_weight", "gauge", "Weight, as configured and as it counts now.");
  for (const BackendRow& b : rows) {
    text.sample(b.sample.labels + ",kind=\"configured\"", b.configured);
    text.sample(b.sample.labels + ",kind=\"effective\"", b.effective);
  }
  text.family("weir_backend_table_slots", "gauge", "Rows of the service's forwarding table that the backend owns.");
  for (const BackendRow& b : rows) text.sample(b.sample.labels, b.rows);
  text.family("weir_backend_state", "gauge", "1 for the administrative state that the backend is in.");
  for (const BackendRow& b : rows)
    for (const Admin admin : {Admin::active, Admin::draining, Admin::maint})
      text.sample(fmt::format("{},state=\"{}\"", b.sample.labels, model::to_text(admin)), b.admin == admin ? 1 : 0);
}

/// What is known of one service's flows.
struct ServiceFlowRow {
  std::string labels;
  FlowCounters counters;
  std::array<u64, flows::closed_text.size()> closed;
  u64 active, moved;
};

void flow_table(Text& text, FastPath& fast_path, const FlowKeeper& flows) {
  const FlowMemory& memory = fast_path.flows();
  text.family("weir_flow_table_entries", "gauge", "Remembered flows.");
  text.sample("", flows.survey().entries);
  text.family("weir_flow_table_capacity_entries", "gauge", "How many can be remembered.");
  text.sample("", memory.flows.size() * bucket_entries);
  text.family("weir_flow_table_embryos", "gauge", "Remembered flows of which one packet has been seen.");
  text.sample("", flows.survey().embryos);
  text.family("weir_flow_table_capacity_embryos", "gauge", "How many of those can be remembered.");
  text.sample("", memory.embryos.size() * bucket_entries);
}

void flow_counters(Text& text, const std::vector<ServiceFlowRow>& rows) {
  text.family("weir_flow_evictions_total", "counter", "Remembered flows that had to make room for others.");
  for (const ServiceFlowRow& s : rows) {
    text.sample(s.labels + ",class=\"embryo\"", s.counters.evicted_embryo);
    text.sample(s.labels + ",class=\"established\"", s.counters.evicted_established);
    text.sample(s.labels + ",class=\"udp\"", s.counters.evicted_udp);
  }
  text.family("weir_flow_misroutes_total", "counter",
              "Established flows that were evicted and seen again on another backend.");
  for (const ServiceFlowRow& s : rows) text.sample(s.labels, s.counters.misroutes);
  text.family("weir_service_connections_active", "gauge", "Remembered flows that go on, as the last sweep found them.");
  for (const ServiceFlowRow& s : rows) text.sample(s.labels, s.active);
  text.family("weir_service_connections_closed_total", "counter", "Remembered flows that have ended.");
  for (const ServiceFlowRow& s : rows) {
    for (std::size_t i = 0; i < s.closed.size(); ++i)
      text.sample(fmt::format("{},reason=\"{}\"", s.labels, flows::closed_text[i]), s.closed[i]);
    text.sample(s.labels + ",reason=\"evicted\"", s.counters.evicted_established + s.counters.evicted_udp);
  }
  text.family("weir_table_slots_moved_total", "counter", "Rows of a forwarding table that were given another owner.");
  for (const ServiceFlowRow& s : rows) text.sample(s.labels, s.moved);
}

void drains(Text& text, const std::vector<BackendRow>& rows) {
  text.family("weir_backend_connections_active", "gauge", "Remembered flows that go on, as the last sweep found them.");
  for (const BackendRow& b : rows) text.sample(b.sample.labels, b.active);
  text.family("weir_backend_drain_remaining_connections", "gauge", "Of a draining backend: the same.");
  for (const BackendRow& b : rows)
    if (b.drain) text.sample(b.sample.labels, b.active);
  text.family("weir_backend_drain_started_timestamp_seconds", "gauge", "When the drain began, Unix time.");
  for (const BackendRow& b : rows)
    if (b.drain) text.sample(b.sample.labels, b.drain->started);
}

}  // namespace

std::string prometheus_text(const model::Pool& pool, FastPath& fast_path, const FlowKeeper& flows, u64 generation) {
  std::vector<Sample> services;
  std::vector<ServiceFlowRow> remembered;
  std::vector<Sample> backends;
  std::vector<BackendRow> gauges;
  for (const auto& [name, service] : pool.services()) {
    const table::Placed* placed = fast_path.publisher().placed(name);
    if (!placed) continue;
    services.push_back({fmt::format("service=\"{}\"", name), fast_path.counting().service(placed->id)});
    remembered.push_back({services.back().labels, fast_path.counting().flows(placed->id), flows.closed(name),
                          active_flows(*placed, flows), fast_path.publisher().moved(name)});
    for (const model::Backend& b : service->backends) {
      const u32 id = backend_id(*placed, b);
      backends.push_back(
          {fmt::format("service=\"{}\",backend=\"{}\"", name, b.name), fast_path.counting().backend(id)});
      gauges.push_back({backends.back(), b.weight, b.effective_weight(), rows_owned(*placed, id),
                        flows.backend(id).remaining, b.admin, b.drain});
    }
  }

  Text text;
  text.family("weir_build_info", "gauge", "Always 1; the labels say what runs.");
  text.sample(fmt::format("version=\"{}\",datapath=\"xdp\"", WEIR_VERSION), 1);
  text.family("weir_config_generation", "gauge", "Changes carried out since lbd started.");
  text.sample("", generation);
  text.family("weir_datapath_attached", "gauge", "1 where the XDP program is attached.");
  for (const Interface& i : fast_path.interfaces())
    text.sample(
        fmt::format("interface=\"{}\",mode=\"{}\"", i.name, i.mode == bpf::AttachMode::native ? "native" : "generic"),
        i.attached ? 1 : 0);
  verdicts(text, fast_path);
  traffic(text, "weir_service_packets_total", "weir_service_bytes_total", "weir_service_connections_opened_total",
          services);
  traffic(text, "weir_backend_packets_total", "weir_backend_bytes_total", "weir_backend_connections_opened_total",
          backends);
  backend_gauges(text, gauges);
  flow_table(text, fast_path, flows);
  flow_counters(text, remembered);
  drains(text, gauges);
  return text.take();
}

}  // namespace weir::daemon

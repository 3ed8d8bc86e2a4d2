// SPDX-License-Identifier: Apache-2.0
// A publisher, the core and a flow table between them, in memory and in a time that the test lets pass: real frames go
// through every change.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/flows/list.hpp"
#include "control/flows/sweep.hpp"
#include "control/table/row_change.hpp"
#include "tests/unit/table_fixture.hpp"

namespace weir::testing {

inline constexpr u8 syn = 0x02, ack = 0x10, fin = 0x11, rst = 0x04;

/// A client's end of a flow.
struct Client {
  std::string source = "192.0.2.1";
  u16 port = 40000;
  std::string vip = "203.0.113.10";
  u16 vip_port = 80;
  u8 protocol = 6;
};

class FlowBed {
 public:
  explicit FlowBed(u32 flows = 1 << 14, u32 embryos = 1 << 12, const TableSizes& sizes = sizes_for(16, 256, 1 << 15))
      : tables_(sizes), flows_(flow_sizes_for(flows, embryos)), counters_(sizes.services) {
    initialise(memory(), table::flow_keys(Bed::seed));
    memory().ports[port_index(Bed::ingress)] = {Bed::own_mac, Bed::ingress, 0};
    memory().ports[port_index(Bed::egress)] = {Bed::egress_mac, Bed::egress, 0};
    MemoryFlows seen;
    seen.memory = flows_.memory();
    seen.tick = [this] { return tick(); };
    seen.counters = counters_;
    seen.ended = [this](const EndedFlow& flow) { ended.push_back(flow); };
    engine_ = std::make_unique<HostEngine>(
        memory(),
        [](const Ip&, const Ip&, u32) {
          return Route{Verdict::returned_nat, hop_word(Bed::gateway_mac, port_index(Bed::egress))};
        },
        [] { return true; }, std::move(seen));
    restart();
  }

  /// A new publisher over the same memory, as after a restart of lbd, that wants what the old one wanted.
  void restart() {
    const model::Pool::Services wanted = pool_.services();
    pool_ = model::Pool({});
    watched.clear();
    publisher_ = std::make_unique<table::Publisher>(
        memory(), Bed::seed,
        table::Surroundings{.hop_of =
                                [](const Ip&) {
                                  return table::Hop{hop_word(Bed::backend_mac, port_index(Bed::egress)), 1500};
                                },
                            .is_local = [](const Ip&) { return false; },
                            .service_given = [this](u32 id) { counters_[id] = {}; },
                            .backend_given = [this](u32 id) { backends_given.push_back(id); },
                            .hop_needed =
                                [this](const Ip& address, bool needed) {
                                  if (needed)
                                    watched.insert(model::to_text(address));
                                  else
                                    watched.erase(watched.find(model::to_text(address)));
                                },
                            .sweep =
                                [this] {
                                  now_ += 300'000'000;  // as the publisher's own waiting takes
                                  return survey();
                                },
                            .clock = [this] { return table::Time(std::chrono::nanoseconds(now_)); }});
    std::vector<model::Service> services;
    for (const auto& [name, service] : wanted) services.push_back(*service);
    replace(services);
    publisher_->settle();
  }

  [[nodiscard]] model::Plan plan(const std::vector<model::Service>& services) const {
    auto plan = pool_.plan(model::Replace{services}, /*force=*/true);
    if (!plan) FAIL(plan.error().message);
    return *plan;
  }
  /// These services and no others.
  void replace(const std::vector<model::Service>& services) {
    const model::Plan change = plan(services);
    if (auto room = publisher_->reserve(change); !room) FAIL(room.error().message);
    if (auto done = publisher_->apply(change); !done) FAIL(done.error().message);
    pool_.commit(change);
  }

  /// Where a packet of `client` goes: a backend's id, or 0 with `verdict` saying why.
  u32 send(const Client& client, u8 flags) {
    const Bytes frame = make_frame({.source = client.source,
                                    .destination = client.vip,
                                    .source_port = client.port,
                                    .destination_port = client.vip_port,
                                    .protocol = client.protocol,
                                    .tcp_flags = flags});
    const Outcome outcome = engine_->run(frame, Bed::ingress);
    verdict = outcome.verdict;
    return outcome.backend_id;
  }
  /// A handshake and one packet more; where it went.
  u32 open(const Client& client) {
    send(client, syn);
    return send(client, ack);
  }

  void pass(u64 seconds) { now_ += seconds * 1'000'000'000; }
  [[nodiscard]] u32 tick() const { return tick_of(now_); }

  flows::Survey survey() {
    flows::Survey survey = flows::sweep(flows_.memory(), memory(), tick(), publisher_->unsettled());
    for (u32 id = 0; id < counters_.size(); ++id)
      survey.services[id].evicted_established = counters_[id].evicted_established + counters_[id].evicted_udp;
    return survey;
  }
  /// One round of the daemon's: a pass over the flow table, and what follows from it.
  flows::Survey age() {
    flows::Survey found = survey();
    publisher_->age(found, table::Time(std::chrono::nanoseconds(now_)));
    return found;
  }
  /// Seconds that pass with a round each.
  void live(u64 seconds) {
    for (u64 i = 0; i < seconds; ++i) {
      pass(1);
      age();
    }
  }

  [[nodiscard]] u32 id(const std::string& service) const { return publisher_->placed(service)->id; }
  [[nodiscard]] u32 id(const std::string& service, const std::string& endpoint) const {
    return publisher_->placed(service)->backends.at(endpoint);
  }
  [[nodiscard]] std::vector<Row> rows(const std::string& service) {
    const table::Placed& at = *publisher_->placed(service);
    return {memory().rows.begin() + at.first_row, memory().rows.begin() + at.first_row + at.rows};
  }
  [[nodiscard]] BackendState state(u32 backend) { return static_cast<BackendState>(memory().backends[backend].state); }

  TableMemory& memory() { return tables_.memory(); }
  FlowMemory& flow_memory() { return flows_.memory(); }
  table::Publisher& publisher() { return *publisher_; }
  FlowCounters& counters(const std::string& service) { return counters_[id(service)]; }

  Verdict verdict = Verdict::not_ours;  // of the last packet sent
  std::vector<EndedFlow> ended;
  std::vector<u32> backends_given;
  std::multiset<std::string> watched;  // addresses whose hop only leaving backends need

 private:
  OwnedTables tables_;
  OwnedFlows flows_;
  std::vector<FlowCounters> counters_;  // by service id
  std::unique_ptr<HostEngine> engine_;
  u64 now_ = 1'000'000'000'000;
  model::Pool pool_{model::Limits{}};
  std::unique_ptr<table::Publisher> publisher_;
};

/// A service of TCP whose removed backends keep their flows; `n` backends 198.51.100.1 and so on.
inline model::Service keeping(u32 n, u32 rows = 256, const std::string& vip = "tcp:203.0.113.10:80") {
  std::vector<model::Backend> backends;
  for (u32 i = 1; i <= n; ++i) backends.push_back(backend("198.51.100." + std::to_string(i) + ":8080"));
  model::Service made = service("web", vip, std::move(backends), Mode::nat, rows);
  made.on_remove = model::OnRemove::keep;
  return made;
}

inline Client client(u32 n) {
  return {.source = "192.0.2." + std::to_string(1 + n % 250), .port = static_cast<u16>(20000 + n / 250)};
}

}  // namespace weir::testing

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/simulation.hpp"

#include <algorithm>
#include <sstream>

#include "control/model/text.hpp"
#include "control/table/records.hpp"
#include "control/table/tunnel.hpp"

namespace weir::lbsim {

TableSizes sizes_of(const config::Configuration& configuration) {
  u32 backends = 0;
  u32 rows = 0;
  for (const model::Service& service : configuration.services) {
    backends += static_cast<u32>(service.backends.size());
    rows += service.rows;
  }
  return sizes_for(static_cast<u32>(configuration.services.size()), backends, std::max(rows, 256U));
}

Result<std::unique_ptr<Simulation>> Simulation::open(const config::Configuration& configuration, const World& world,
                                                     std::unique_ptr<Engine> engine) {
  std::unique_ptr<Simulation> simulation(new Simulation(world, std::move(engine)));
  if (auto published = simulation->publish(configuration); !published) return tl::unexpected(published.error());
  for (const std::string& line : world.tamper)
    if (auto done = simulation->tamper(line); !done) return tl::unexpected(done.error());
  const auto number = [](const std::vector<std::string>& names, const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? 0 : static_cast<u32>(found - names.begin());
  };
  const Ids ids{[&](const std::string& name) { return number(simulation->service_names_, name); },
                [&](const std::string& name) { return number(simulation->backend_names_, name); }};
  Engine& used = *simulation->engine_;
  if (auto set = set_flows(world, ids, used.memory(), used.flows()); !set) return tl::unexpected(set.error());
  copy_flows(used.flows(), simulation->first_.memory());
  if (auto started = simulation->engine_->start(); !started) return tl::unexpected(started.error());
  return simulation;
}

Result<> Simulation::publish(const config::Configuration& configuration) {
  TableMemory& memory = engine_->memory();
  const model::Seed seed = configuration.settings.seed.value_or(model::Seed{});
  initialise(memory, table::flow_keys(seed));
  table::write_tunnel(memory, configuration.settings.tunnel);
  // More than a run can ask for where the world sets no bound; the core's own budget is per second.
  memory.globals->icmp_rate = world_.answers.value_or(1'000'000);
  for (const Interface& interface : world_.interfaces)
    if (interface.attached) memory.ports[port_index(interface.ifindex)] = {interface.mac, interface.ifindex, 0};
  publisher_ = std::make_unique<table::Publisher>(
      memory, seed,
      table::Surroundings{.hop_of = [this](const Ip& address) { return world_.hop_of(address); },
                          .is_local = [this](const Ip& address) { return world_.is_local(address); },
                          .service_given = [](u32) {},
                          .backend_given = [](u32) {}});
  model::Plan plan;
  for (const model::Service& service : configuration.services)
    plan.steps.push_back({service.name, nullptr, std::make_shared<model::Service>(service)});
  if (auto applied = publisher_->apply(plan); !applied) return applied;

  service_names_.resize(memory.services.size());
  backend_names_.resize(memory.backends.size());
  for (const model::Service& service : configuration.services) {
    const table::Placed& placed = *publisher_->placed(service.name);
    service_names_[placed.id] = service.name;
    for (const model::Backend& backend : service.backends)
      backend_names_[placed.backends.at(model::to_text(backend.endpoint))] = service.name + "/" + backend.name;
  }
  return {};
}

u32 Simulation::row_in(u32 service_id, u32 row) const {
  const Service& record = engine_->memory().services[service_id];
  return row - table_first_row(record.table);
}

/// Damages that no configuration can make, so that the corpus reaches the verdict `internal_table`.
Result<> Simulation::tamper(const std::string& line) {
  std::istringstream words(line);
  std::string what;
  std::string name;
  u32 value = 0;
  const bool read = static_cast<bool>(words >> what >> name >> value);
  TableMemory& memory = engine_->memory();
  const table::Placed* placed = publisher_->placed(name.substr(0, name.find('/')));
  if (read && placed && what == "rows") {
    for (u32 i = 0; i < placed->rows; ++i) store_once(memory.rows[placed->first_row + i], settled_row(value));
    return {};
  }
  if (read && placed && what == "service-id") {
    const Service& service = memory.services[placed->id];
    const u32 key = key_word(KeyKind::service, static_cast<u8>(service.protocol), service.port);
    if (table::IndexWriter(memory).put({service.vip, key}, value)) return {};
  }
  if (read && what == "backend-service")
    for (u32 id = 1; id < backend_names_.size(); ++id)
      if (backend_names_[id] == name) {
        memory.backends[id].service = value;
        return {};
      }
  return fail(Fault::invalid,
              "tamper \"{}\" is not understood; write \"rows SERVICE ID\", \"service-id SERVICE ID\" or "
              "\"backend-service SERVICE/BACKEND ID\" with names of the configuration",
              line);
}

}  // namespace weir::lbsim

// SPDX-License-Identifier: Apache-2.0
// A configuration published into an engine's tables, and names for what the engine reports as numbers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/config/config.hpp"
#include "control/table/publisher.hpp"
#include "tools/lbsim/engine.hpp"

namespace weir::lbsim {

/// Table sizes that just hold the configuration.
[[nodiscard]] TableSizes sizes_of(const config::Configuration& configuration);

class Simulation {
 public:
  /// Publishes, then carries out the world's `tamper` lines. The references outlive the simulation.
  static Result<std::unique_ptr<Simulation>> open(const config::Configuration& configuration, const World& world,
                                                  std::unique_ptr<Engine> engine);

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] const World& world() const { return world_; }
  /// Puts the flow table, and the time, back to what the world says.
  void restore() { copy_flows(first_.memory(), engine_->flows()); }
  /// Lets time pass, in seconds.
  void wait(u32 seconds) { engine_->flows().header->still_tick += ticks_of_seconds(seconds); }
  /// "" for an id that was not given out.
  [[nodiscard]] std::string service_name(u32 id) const { return name_in(service_names_, id); }
  [[nodiscard]] std::string backend_name(u32 id) const { return name_in(backend_names_, id); }
  /// The row's number in its service's own table, from 0.
  [[nodiscard]] u32 row_in(u32 service_id, u32 row) const;

 private:
  Simulation(const World& world, std::unique_ptr<Engine> engine) : world_(world), engine_(std::move(engine)) {}
  Result<> publish(const config::Configuration& configuration);
  Result<> tamper(const std::string& line);
  static std::string name_in(const std::vector<std::string>& names, u32 id) {
    return id < names.size() ? names[id] : "";
  }

  const World& world_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<table::Publisher> publisher_;
  OwnedFlows first_{flow_sizes};  // the flow table as the world has it
  std::vector<std::string> service_names_;
  std::vector<std::string> backend_names_;
};

}  // namespace weir::lbsim

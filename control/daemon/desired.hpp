// SPDX-License-Identifier: Apache-2.0
// The desired state on this host: the configuration file, what lbctl has changed since, and both made durable.
#pragma once

#include <string>
#include <vector>

#include "control/config/config.hpp"
#include "control/model/pool.hpp"
#include "control/store/state_file.hpp"

namespace weir::daemon {

class Desired {
 public:
  /// `text` is the configuration file's, `configuration` what it says, `directory` where runtime changes are kept.
  Desired(std::string_view text, config::Configuration configuration, const std::string& directory);

  /// Reads the runtime changes and plans the state to start with from an empty one: the file's services, overlaid with
  /// what lbctl changed. A set that was put in place with `apply` counts until the file is edited. Faults: invalid.
  Result<model::Plan> start();

  [[nodiscard]] Result<model::Plan> plan(const model::Mutation& mutation, bool force) const {
    return pool_.plan(mutation, force, unix_seconds());
  }
  /// Makes a plan durable; on a fault nothing has changed. A plan of `apply` becomes the new base, whatever else a
  /// change of one service costs follows that service.
  Result<> store(const model::Plan& plan, bool applied);
  void commit(const model::Plan& plan) { pool_.commit(plan); }

  [[nodiscard]] const model::Pool& pool() const { return pool_; }
  [[nodiscard]] const model::Settings& settings() const { return configuration_.settings; }
  [[nodiscard]] config::Configuration as_configuration() const;
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  using Services = store::State::Services;
  static u64 unix_seconds();
  Result<> load_base();
  Result<> store_applied(const model::Plan& plan);

  u64 checksum_;
  config::Configuration configuration_;
  std::string directory_;
  store::StateFile file_;
  store::State state_;
  Services base_;  // what `state_` changes
  model::Pool pool_;
  std::vector<std::string> warnings_;
};

}  // namespace weir::daemon

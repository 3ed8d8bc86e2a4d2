// SPDX-License-Identifier: Apache-2.0
// The desired state: all services, the rules that hold between them, and how a change turns one state into the next.
// A change is planned first (pure; nothing moves) and committed after it has been made durable.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "control/model/claims.hpp"
#include "control/model/plan.hpp"
#include "control/model/result.hpp"
#include "control/model/rules.hpp"
#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::model {

/// Idempotent: an equal service is no change, and so is one without backends whose other fields are equal; a different
/// one of that name is a conflict.
struct AddService {
  Service service;
};
struct SetService {  ///< absent fields stay as they are; a service's mode, VIP and protocol cannot change
  std::string service;
  std::optional<HashOn> hash;
  std::optional<u32> rows;
  std::optional<u32> mss;
  std::optional<Track> track;
  std::optional<OnRemove> on_remove;
  std::optional<u32> settle;
  std::optional<u32> idle;
  std::optional<u32> idle_closing;
};
struct DeleteService {
  std::string service;
};
/// Idempotent: an equal backend is no change, a different one of that name a conflict. An empty name means the backend
/// with that endpoint, and becomes backend_name(endpoint) when there is none.
struct AddBackend {
  std::string service;
  Backend backend;
};
/// Absent fields stay as they are. `drain` goes with admin `draining`, its `started` is not looked at: a drain that is
/// under way on the same terms goes on, on other terms it begins anew. `draining` without `drain` drains without
/// deadline, or leaves a drain that is under way as it is.
struct SetBackend {
  std::string service;
  std::string backend;
  std::optional<u32> weight;
  std::optional<Admin> admin;
  std::optional<Drain> drain;
};
struct DeleteBackend {
  std::string service;
  std::string backend;
};
struct Replace {  ///< `apply -f`: these services and no others
  std::vector<Service> services;
};
using Mutation = std::variant<AddService, SetService, DeleteService, AddBackend, SetBackend, DeleteBackend, Replace>;

class Pool {
 public:
  /// `tunnel` is what the host sets for services in tunnel modes.
  explicit Pool(Limits limits, Tunnel tunnel = {}) : limits_(limits), tunnel_(tunnel) {}

  /// Checks `mutation` against every rule and says what it would change. Faults: invalid, not_found, conflict, and
  /// refused where `force` is false and the change would take the last usable backend (effective weight above 0) from
  /// a service, delete a service that has one, or replace all services by none.
  /// Drains that begin with the plan begin at `now`, Unix seconds.
  [[nodiscard]] Result<Plan> plan(const Mutation& mutation, bool force, u64 now = 0) const;

  /// Takes over a plan made from this very state. Cost follows the steps, not the size of the pool.
  void commit(const Plan& plan);

  using Services = std::map<std::string, std::shared_ptr<const Service>>;
  [[nodiscard]] const Services& services() const { return services_; }
  [[nodiscard]] std::shared_ptr<const Service> find(const std::string& name) const;
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  Limits limits_;
  Tunnel tunnel_;
  Services services_;
  Claims claims_;
  Usage usage_;
};

}  // namespace weir::model

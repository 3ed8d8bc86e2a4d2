// SPDX-License-Identifier: Apache-2.0
// What a sweep of the flow table sets off: rows grow older, drains go on, deadlines are kept, losses are told.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/daemon/desired.hpp"
#include "control/daemon/drains.hpp"
#include "control/daemon/fast_path.hpp"
#include "control/daemon/flow_warnings.hpp"
#include "control/daemon/sweeper.hpp"

namespace weir::daemon {

class FlowKeeper {
 public:
  /// Deletes a backend whose drain asks for it, now or not at all; it is asked again after the next sweep.
  using Remove = std::function<void(const Drains::Name&)>;

  /// `desired` and `fast_path` outlive this.
  FlowKeeper(boost::asio::io_context& loop, const Desired& desired, FastPath& fast_path, Remove remove);

  /// Before the first plan is published over tables that an earlier daemon has left.
  void take_over(const model::Plan& plan);
  void start() { sweeper_.start(); }
  /// A plan has been published.
  void changed(const model::Plan& plan);
  /// Calls `then` after a sweep that begins from here on.
  void ask(std::function<void()> then) { sweeper_.ask(std::move(then)); }

  /// What the last sweep has found of one record; nothing before the first.
  [[nodiscard]] flows::ServiceFlows service(u32 id) const;
  [[nodiscard]] flows::BackendFlows backend(u32 id) const;
  [[nodiscard]] const flows::Survey& survey() const { return sweeper_.last(); }
  /// Flows of a service that have ended since the daemon started, by flows::Closed.
  [[nodiscard]] std::array<u64, flows::closed_text.size()> closed(const std::string& service) const;
  /// Effects of a plan on the flows that the last sweep has seen.
  [[nodiscard]] std::vector<model::Effect> effects(const model::Plan& plan) const;
  /// The safety rule of changes that could break flows which nobody remembers. Fault refused.
  [[nodiscard]] Result<> check(const model::Plan& plan) const;
  /// Whether the flow table knows every flow of a service.
  [[nodiscard]] bool knows_all(const model::Service& service) const;

  [[nodiscard]] Result<nlohmann::json> drain_status(const std::string& service, const std::string& backend) const;
  [[nodiscard]] std::vector<std::string> warnings() const;

 private:
  [[nodiscard]] bool needed() const;
  flows::Unsettled begin();
  bool end(flows::Survey& survey);
  [[nodiscard]] bool has_seen_flows(const std::string& service) const;
  void witness_drains(const model::Step& step, double now);
  void read_counters(flows::Survey& survey);
  [[nodiscard]] std::vector<Draining> find_draining(const flows::Survey& survey) const;
  void carry_out(const Drains::Actions& actions);

  const Desired& desired_;
  FastPath& fast_path_;
  Remove remove_;
  Drains drains_;
  FlowWarnings flow_warnings_;
  Moment began_;                             // the sweep that is under way or was the last
  std::vector<Draining> draining_at_begin_;  // without what the sweep has found
  std::map<std::string, std::array<u64, flows::closed_text.size()>> closed_;
  std::map<Drains::Name, std::pair<model::Drain, double>> witnessed_;  // drains that began meanwhile, and when (steady)
  std::map<std::string, double> known_from_;  // service -> steady time from which all its flows are known
  bool swept_ = false;
  bool changed_ = true;  // since the last sweep began
  Sweeper sweeper_;
};

}  // namespace weir::daemon

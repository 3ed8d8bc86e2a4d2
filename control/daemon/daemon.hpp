// SPDX-License-Identifier: Apache-2.0
// The daemon: what the API can ask for, carried out one change at a time: plan, check, make durable, publish.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "control/api/operations.hpp"
#include "control/daemon/desired.hpp"
#include "control/daemon/fast_path.hpp"
#include "control/daemon/flow_keeper.hpp"

namespace weir::daemon {

class Daemon final : public api::Operations {
 public:
  /// `ended` is called when the fast path has been detached and the daemon has nothing left to do.
  Daemon(boost::asio::io_context& loop, Desired& desired, FastPath& fast_path, std::string config_file,
         std::function<void()> ended);
  /// The first plan is about to be published.
  void take_over(const model::Plan& plan) { flows_.take_over(plan); }
  /// The fast path is live: from here on the flow table is swept, and drains go on.
  void start() { flows_.start(); }

  void mutate(api::Request request, Done done) override;
  Result<model::Replace> parse_config(std::string_view text, const std::string& file_name) override;
  nlohmann::json status() override;
  nlohmann::json services() override;
  Result<nlohmann::json> service(const std::string& name) override;
  Result<nlohmann::json> rows(const std::string& name) override;
  nlohmann::json stats() override;
  Result<nlohmann::json> trace(const api::TraceQuery& query) override;
  std::string metrics() override;
  std::string export_config() override;
  Result<nlohmann::json> drain_status(const std::string& service, const std::string& backend) override;
  Result<api::Pieces> conns(const api::ConnFilter& filter) override;
  Result<nlohmann::json> conn_count(const api::ConnFilter& filter) override;
  Result<nlohmann::json> conn_kill(const api::ConnFilter& filter) override;
  Result<> detach() override;

 private:
  struct Pending {
    api::Request request;
    Done done;
  };
  void next();
  void check_then_conclude(model::Plan plan);
  void conclude(model::Plan plan);
  void foresee(model::Plan plan);
  void remove_drained(const Drains::Name& name);
  void finish(Result<model::Plan> result);
  Result<model::Plan> carry_out(model::Plan plan);
  [[nodiscard]] Result<std::shared_ptr<const model::Service>> find(const std::string& name) const;

  Desired& desired_;
  FastPath& fast_path_;
  std::string config_file_;
  std::function<void()> ended_;
  FlowKeeper flows_;
  std::deque<Pending> queue_;
  bool busy_ = false;
  u64 generation_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace weir::daemon

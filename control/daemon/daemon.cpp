// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/daemon.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "control/config/config.hpp"
#include "control/daemon/conns.hpp"
#include "control/daemon/metrics.hpp"
#include "control/daemon/report.hpp"
#include "control/daemon/trace.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {
namespace {

/// Backends that a plan introduces: those the host must be able to reach.
struct Newcomer {
  Ip address;
  Mode mode;
};
std::vector<Newcomer> newcomers(const model::Plan& plan) {
  std::map<std::string, Newcomer> found;
  for (const model::Step& step : plan.steps) {
    if (!step.after) continue;
    for (const model::Backend& backend : step.after->backends) {
      const bool known =
          step.before && std::any_of(step.before->backends.begin(), step.before->backends.end(),
                                     [&](const model::Backend& b) { return b.endpoint == backend.endpoint; });
      if (!known)
        found.emplace(model::to_text(backend.endpoint.address) + model::to_text(step.after->mode),
                      Newcomer{backend.endpoint.address, step.after->mode});
    }
  }
  std::vector<Newcomer> all;
  all.reserve(found.size());
  for (const auto& [text, newcomer] : found) all.push_back(newcomer);
  return all;
}

}  // namespace

Daemon::Daemon(boost::asio::io_context& loop, Desired& desired, FastPath& fast_path, std::string config_file,
               std::function<void()> ended)
    : desired_(desired),
      fast_path_(fast_path),
      config_file_(std::move(config_file)),
      ended_(std::move(ended)),
      flows_(loop, desired, fast_path, [this](const Drains::Name& name) { remove_drained(name); }) {}

void Daemon::mutate(api::Request request, Done done) {
  queue_.push_back({std::move(request), std::move(done)});
  if (!busy_) next();
}

void Daemon::next() {
  if (queue_.empty()) return;
  busy_ = true;
  auto plan = desired_.plan(queue_.front().request.mutation, queue_.front().request.force);
  if (!plan || plan->steps.empty()) return finish(std::move(plan));
  check_then_conclude(std::move(*plan));
}

void Daemon::finish(Result<model::Plan> result) {
  const Done done = std::move(queue_.front().done);
  queue_.pop_front();
  done(std::move(result));
  busy_ = false;
  next();
}

void Daemon::check_then_conclude(model::Plan plan) {
  const auto strangers = queue_.front().request.force ? std::vector<Newcomer>{} : newcomers(plan);
  if (strangers.empty()) return conclude(std::move(plan));
  struct Check {
    model::Plan plan;
    std::size_t outstanding;
    Result<> outcome;
  };
  const auto check = std::make_shared<Check>(Check{std::move(plan), strangers.size(), {}});
  for (const Newcomer& newcomer : strangers)
    fast_path_.check_reachable(newcomer.address, newcomer.mode, [this, check](Result<> reachable) {
      if (!reachable && check->outcome) {
        check->outcome = std::move(reachable);
        if (check->outcome.error().fault == Fault::refused)
          check->outcome.error().message += " (--force adds it all the same)";
      }
      if (--check->outstanding > 0) return;
      if (!check->outcome) return finish(tl::unexpected(check->outcome.error()));
      conclude(std::move(check->plan));
    });
}

void Daemon::conclude(model::Plan plan) {
  if (!queue_.front().request.force)
    if (auto allowed = flows_.check(plan); !allowed) return finish(tl::unexpected(allowed.error()));
  queue_.front().request.dry_run ? foresee(std::move(plan)) : finish(carry_out(std::move(plan)));
}

// What the flow table knows is counted anew: the answer is about the flows of this moment.
void Daemon::foresee(model::Plan plan) {
  if (auto room = fast_path_.publisher().reserve(plan); !room) return finish(tl::unexpected(room.error()));
  flows_.ask([this, plan = std::move(plan)]() mutable {
    plan.effects = flows_.effects(plan);
    finish(std::move(plan));
  });
}

Result<model::Plan> Daemon::carry_out(model::Plan plan) {
  const api::Request& request = queue_.front().request;
  if (auto room = fast_path_.publisher().reserve(plan); !room) return tl::unexpected(room.error());
  if (auto stored = desired_.store(plan, std::holds_alternative<model::Replace>(request.mutation)); !stored)
    return tl::unexpected(stored.error());
  if (auto published = fast_path_.publish(plan); !published) return tl::unexpected(published.error());
  desired_.commit(plan);
  flows_.changed(plan);
  ++generation_;
  return plan;
}

// Somebody's change that is under way may be about this very drain: then the next sweep asks again.
void Daemon::remove_drained(const Drains::Name& name) {
  if (busy_) return;
  mutate({.mutation = model::DeleteBackend{name.first, name.second}}, [name](const Result<model::Plan>& done) {
    if (!done)
      fmt::print(stderr, "lbd: WARNING: {}/{} is drained and cannot be removed: {}\n", name.first, name.second,
                 done.error().message);
  });
}

Result<model::Replace> Daemon::parse_config(std::string_view text, const std::string& file_name) {
  auto parsed = config::parse(text, file_name);
  if (!parsed) return tl::unexpected(parsed.error());
  if (!(parsed->settings == desired_.settings()))
    return fail(Fault::invalid,
                "{}: settings outside [[service]] differ from the running ones; they take effect when lbd is restarted "
                "with that file, apply changes services alone",
                file_name);
  return model::Replace{std::move(parsed->services)};
}

std::string Daemon::export_config() { return config::write(desired_.as_configuration()); }

nlohmann::json Daemon::status() {
  nlohmann::json document = report_status(desired_, fast_path_, flows_);
  document["version"] = WEIR_VERSION;
  document["pid"] = ::getpid();
  document["uptime_seconds"] =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count();
  document["config_file"] = config_file_;
  document["generation"] = generation_;
  return document;
}

nlohmann::json Daemon::services() {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, service] : desired_.pool().services())
    list.push_back(report_service(*service, fast_path_, flows_));
  return list;
}

Result<std::shared_ptr<const model::Service>> Daemon::find(const std::string& name) const {
  auto found = desired_.pool().find(name);
  if (!found)
    return fail(Fault::not_found, "there is no service \"{}\"; `lbctl service list` shows those there are", name);
  return found;
}

Result<nlohmann::json> Daemon::service(const std::string& name) {
  return find(name).map([&](const auto& found) { return report_service(*found, fast_path_, flows_); });
}

Result<nlohmann::json> Daemon::rows(const std::string& name) {
  return find(name).map([&](const auto& found) { return report_rows(*found, fast_path_); });
}

nlohmann::json Daemon::stats() { return report_stats(desired_.pool(), fast_path_, flows_); }
Result<nlohmann::json> Daemon::trace(const api::TraceQuery& query) {
  return report_trace(query, desired_.pool(), fast_path_);
}
std::string Daemon::metrics() { return prometheus_text(desired_.pool(), fast_path_, flows_, generation_); }

Result<nlohmann::json> Daemon::drain_status(const std::string& service, const std::string& backend) {
  return flows_.drain_status(service, backend);
}
Result<api::Pieces> Daemon::conns(const api::ConnFilter& filter) {
  return list_conns(filter, desired_.pool(), fast_path_);
}
Result<nlohmann::json> Daemon::conn_count(const api::ConnFilter& filter) {
  return count_conns(filter, desired_.pool(), fast_path_);
}
Result<nlohmann::json> Daemon::conn_kill(const api::ConnFilter& filter) {
  return kill_conns(filter, desired_.pool(), fast_path_);
}

Result<> Daemon::detach() {
  if (auto removed = fast_path_.remove(); !removed) return removed;
  ended_();
  return {};
}

}  // namespace weir::daemon

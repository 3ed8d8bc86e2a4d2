// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/desired.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

namespace weir::daemon {

Desired::Desired(std::string_view text, config::Configuration configuration, const std::string& directory)
    : checksum_(store::checksum(text)),
      configuration_(std::move(configuration)),
      directory_(directory),
      file_(directory + "/state"),
      pool_(configuration_.settings.limits, configuration_.settings.tunnel) {}

u64 Desired::unix_seconds() {
  using std::chrono::duration_cast, std::chrono::seconds, std::chrono::system_clock;
  return static_cast<u64>(duration_cast<seconds>(system_clock::now().time_since_epoch()).count());
}

Result<> Desired::load_base() {
  auto loaded = file_.load();
  if (!loaded) return tl::unexpected(loaded.error());
  state_ = std::move(*loaded);
  if (!state_.base.empty() && state_.config_checksum != checksum_) {
    warnings_.emplace_back(
        "the configuration file was edited after the last `lbctl apply`: the file counts, what was applied and changed "
        "since is dropped");
    state_ = {};
  }
  if (state_.base.empty()) {
    for (const model::Service& service : configuration_.services)
      base_.emplace(service.name, std::make_shared<const model::Service>(service));
    return {};
  }
  const std::string path = directory_ + "/" + state_.base;
  if (!std::filesystem::exists(path))
    return fail(Fault::invalid,
                "the applied services in {} are missing, which {} changes; restore both, or move {} away to start from "
                "the configuration file alone",
                path, file_.path(), file_.path());
  auto applied = store::StateFile(path).load();
  if (!applied) return tl::unexpected(applied.error());
  base_ = std::move(applied->services);
  return {};
}

Result<model::Plan> Desired::start() {
  if (auto loaded = load_base(); !loaded) return tl::unexpected(loaded.error());
  model::Replace wanted;
  for (const auto& [name, service] : base_)
    if (!state_.services.contains(name) && !state_.tombstones.contains(name)) wanted.services.push_back(*service);
  for (const auto& [name, service] : state_.services) wanted.services.push_back(*service);
  if (!state_.services.empty() || !state_.tombstones.empty())
    warnings_.push_back(fmt::format("{} services differ from {} by changes of lbctl, kept in {}",
                                    state_.services.size() + state_.tombstones.size(),
                                    state_.base.empty() ? "the configuration file" : "what was applied", file_.path()));
  auto planned = pool_.plan(wanted, /*force=*/true, unix_seconds());
  if (!planned && (!state_.services.empty() || !state_.tombstones.empty()))
    return fail(planned.error().fault,
                "{} (the configuration file together with the runtime changes in {}; correct the file, or move the "
                "state file away to start from the configuration file alone)",
                planned.error().message, file_.path());
  return planned;
}

Result<> Desired::store_applied(const model::Plan& plan) {
  store::State applied{.services = pool_.services()};
  for (const model::Step& step : plan.steps) {
    applied.services.erase(step.name);
    if (step.after) applied.services.emplace(step.name, step.after);
  }
  // Two names in turn: the set that counts is never written over.
  const std::string previous = state_.base;
  store::State next{.base = previous == "applied-1" ? "applied-2" : "applied-1", .config_checksum = checksum_};
  if (auto saved = store::StateFile(directory_ + "/" + next.base).save(applied); !saved) return saved;
  if (auto saved = file_.save(next); !saved) return saved;
  state_ = std::move(next);
  base_ = std::move(applied.services);
  std::error_code ignored;  // a leftover costs space and is never read
  if (!previous.empty()) std::filesystem::remove(directory_ + "/" + previous, ignored);
  return {};
}

Result<> Desired::store(const model::Plan& plan, bool applied) {
  if (applied) return store_applied(plan);
  store::State next = state_;
  next.config_checksum = checksum_;
  for (const model::Step& step : plan.steps) {
    const auto base = base_.find(step.name);
    next.services.erase(step.name);
    next.tombstones.erase(step.name);
    if (!step.after && base != base_.end()) next.tombstones.insert(step.name);
    if (step.after && !(base != base_.end() && *base->second == *step.after))
      next.services.emplace(step.name, step.after);
  }
  if (auto saved = file_.save(next); !saved) return saved;
  state_ = std::move(next);
  return {};
}

config::Configuration Desired::as_configuration() const {
  config::Configuration now{configuration_.settings, {}};
  for (const auto& [name, service] : pool_.services()) now.services.push_back(*service);
  return now;
}

}  // namespace weir::daemon

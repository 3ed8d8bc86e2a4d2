// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/desired.hpp"

#include <algorithm>
#include <utility>

namespace weir::daemon {

Desired::Desired(std::string_view text, config::Configuration configuration, const std::string& state_path)
    : checksum_(store::checksum(text)),
      configuration_(std::move(configuration)),
      file_(state_path),
      pool_(configuration_.settings.limits) {}

Result<model::Plan> Desired::start() {
  auto loaded = file_.load();
  if (!loaded) return tl::unexpected(loaded.error());
  state_ = std::move(*loaded);
  if (state_.complete && state_.config_checksum != checksum_) {
    warnings_.push_back(
        "the configuration file was edited after the last `lbctl apply`: the file counts, what was applied and changed "
        "since is dropped");
    state_ = {};
  }
  model::Replace wanted;
  if (!state_.complete)
    for (const model::Service& service : configuration_.services)
      if (!state_.services.contains(service.name) && !state_.tombstones.contains(service.name))
        wanted.services.push_back(service);
  for (const auto& [name, service] : state_.services) wanted.services.push_back(*service);
  if (!state_.complete && (!state_.services.empty() || !state_.tombstones.empty()))
    warnings_.push_back(fmt::format("{} services differ from the configuration file by changes of lbctl, kept in {}",
                                    state_.services.size() + state_.tombstones.size(), file_.path()));
  auto planned = pool_.plan(wanted, /*force=*/true);
  if (!planned && (!state_.services.empty() || !state_.tombstones.empty()))
    return fail(planned.error().fault,
                "{} (the configuration file together with the runtime changes in {}; correct the file, or move the "
                "state file away to start from the configuration file alone)",
                planned.error().message, file_.path());
  return planned;
}

const model::Service* Desired::configured(const std::string& name) const {
  const auto found = std::find_if(configuration_.services.begin(), configuration_.services.end(),
                                  [&](const model::Service& s) { return s.name == name; });
  return found == configuration_.services.end() ? nullptr : &*found;
}

Result<> Desired::store(const model::Plan& plan, bool complete) {
  store::State next = state_;
  if (complete && !next.complete) {
    next = {.complete = true, .services = pool_.services(), .tombstones = {}};
  }
  next.config_checksum = checksum_;
  for (const model::Step& step : plan.steps) {
    const model::Service* base = next.complete ? nullptr : configured(step.name);
    next.services.erase(step.name);
    next.tombstones.erase(step.name);
    if (!step.after && base) next.tombstones.insert(step.name);
    if (step.after && !(base && *base == *step.after)) next.services.emplace(step.name, step.after);
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

// SPDX-License-Identifier: Apache-2.0
#include "control/model/pool.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

#include "control/model/describe.hpp"
#include "control/model/text.hpp"

namespace weir::model {
namespace {

using ServicePtr = std::shared_ptr<const Service>;
using Steps = std::vector<Step>;

bool has_usable(const Service& service) {
  return std::any_of(service.backends.begin(), service.backends.end(),
                     [](const Backend& b) { return b.effective_weight() > 0; });
}

Result<ServicePtr> need(const Pool& pool, const std::string& name) {
  if (ServicePtr service = pool.find(name)) return service;
  return fail(Fault::not_found, "there is no service \"{}\"", name);
}

/// An edited copy of one service, to become the step's `after`.
struct Edit {
  ServicePtr before;
  std::shared_ptr<Service> after;

  Steps steps() && { return {Step{before->name, before, std::move(after)}}; }
};

Result<Edit> edit(const Pool& pool, const std::string& name) {
  auto before = need(pool, name);
  if (!before) return tl::unexpected(std::move(before.error()));
  return Edit{*before, std::make_shared<Service>(**before)};
}

Result<std::vector<Backend>::iterator> need(Service& service, const std::string& name) {
  const auto found =
      std::find_if(service.backends.begin(), service.backends.end(), [&](const Backend& b) { return b.name == name; });
  if (found == service.backends.end())
    return fail(Fault::not_found, "service \"{}\" has no backend \"{}\"", service.name, name);
  return found;
}

/// The differences of a wanted object from the one that has its name, for a conflict's message.
std::string differences(const Step& step) {
  std::string text;
  for (const std::string& line : describe(step)) text += (text.empty() ? "" : "; ") + line;
  return text;
}

/// Lets the drains of `after` that say no time begin at `now`, or go on where `before` has them on the same terms.
void time_drains(const Service* before, Service& after, u64 now) {
  std::unordered_map<std::string_view, const Drain*> under_way;
  if (before != nullptr)
    for (const Backend& backend : before->backends)
      if (backend.drain) under_way.emplace(backend.name, &*backend.drain);
  for (Backend& backend : after.backends) {
    if (backend.admin != Admin::draining) continue;  // a drain all the same breaks a rule of breach_of()
    if (!backend.drain) backend.drain.emplace();
    if (backend.drain->started != 0) continue;
    const auto old = under_way.find(backend.name);
    const bool goes_on = old != under_way.end() && old->second->same_terms(*backend.drain);
    backend.drain->started = goes_on ? old->second->started : now;
  }
}

// One overload per mutation: what it would do to the services, before any rule is checked.

Result<Steps> next(const Pool& pool, const AddService& add, u64 now) {
  const ServicePtr before = pool.find(add.service.name);
  auto after = std::make_shared<Service>(add.service);
  for (Backend& backend : after->backends)
    if (backend.name.empty()) backend.name = backend_name(backend.endpoint);
  time_drains(before.get(), *after, now);
  if (!before) return Steps{{add.service.name, nullptr, std::move(after)}};
  if (after->backends.empty()) after->backends = before->backends;
  const Step step{add.service.name, before, after};
  if (describe(step).empty()) return Steps{};
  return fail(Fault::conflict, "service \"{}\" exists and differs ({}); change it with set, or delete it first",
              add.service.name, differences(step));
}

Result<Steps> next(const Pool& pool, const SetService& set, u64 /*now*/) {
  auto change = edit(pool, set.service);
  if (!change) return tl::unexpected(std::move(change.error()));
  if (set.hash) change->after->hash = *set.hash;
  if (set.rows) change->after->rows = *set.rows;
  if (set.mss) change->after->mss = *set.mss;
  if (set.track) change->after->track = *set.track;
  if (set.on_remove) change->after->on_remove = *set.on_remove;
  if (set.settle) change->after->settle = *set.settle;
  if (set.idle) change->after->idle = *set.idle;
  if (set.idle_closing) change->after->idle_closing = *set.idle_closing;
  return std::move(*change).steps();
}

Result<Steps> next(const Pool& pool, const DeleteService& del, u64 /*now*/) {
  auto before = need(pool, del.service);
  if (!before) return tl::unexpected(std::move(before.error()));
  return Steps{{del.service, *before, nullptr}};
}

Result<Steps> next(const Pool& pool, const AddBackend& add, u64 now) {
  auto change = edit(pool, add.service);
  if (!change) return tl::unexpected(std::move(change.error()));
  Backend wanted = add.backend;
  auto& backends = change->after->backends;
  const auto same = std::find_if(backends.begin(), backends.end(), [&](const Backend& b) {
    return wanted.name.empty() ? b.endpoint == wanted.endpoint : b.name == wanted.name;
  });
  if (same == backends.end()) {
    if (wanted.name.empty()) wanted.name = backend_name(wanted.endpoint);
    backends.push_back(std::move(wanted));
    time_drains(change->before.get(), *change->after, now);
    return std::move(*change).steps();
  }
  wanted.name = same->name;
  *same = wanted;
  time_drains(change->before.get(), *change->after, now);
  const Step step = std::move(*change).steps().front();
  if (describe(step).empty()) return Steps{};
  return fail(Fault::conflict, "backend {}/{} exists and differs ({}); change it with set, or delete it first",
              add.service, wanted.name, differences(step));
}

Result<Steps> next(const Pool& pool, const SetBackend& set, u64 now) {
  auto change = edit(pool, set.service);
  if (!change) return tl::unexpected(std::move(change.error()));
  auto backend = need(*change->after, set.backend);
  if (!backend) return tl::unexpected(std::move(backend.error()));
  if (set.weight) (*backend)->weight = *set.weight;
  if (set.admin) (*backend)->admin = *set.admin;
  if ((*backend)->admin != Admin::draining) (*backend)->drain.reset();
  if (set.drain) {
    (*backend)->drain = set.drain;
    (*backend)->drain->started = 0;
  }
  time_drains(change->before.get(), *change->after, now);
  return std::move(*change).steps();
}

Result<Steps> next(const Pool& pool, const DeleteBackend& del, u64 /*now*/) {
  auto change = edit(pool, del.service);
  if (!change) return tl::unexpected(std::move(change.error()));
  auto backend = need(*change->after, del.backend);
  if (!backend) return tl::unexpected(std::move(backend.error()));
  change->after->backends.erase(*backend);
  return std::move(*change).steps();
}

Result<Steps> next(const Pool& pool, const Replace& replace, u64 now) {
  std::set<std::string> kept;
  Steps steps;
  for (const Service& service : replace.services) {
    if (!kept.insert(service.name).second)
      return fail(Fault::invalid, "there are two services \"{}\"; rename one", service.name);
    ServicePtr before = pool.find(service.name);
    auto after = std::make_shared<Service>(service);
    time_drains(before.get(), *after, now);
    steps.push_back({service.name, std::move(before), std::move(after)});
  }
  for (const auto& [name, service] : pool.services())
    if (!kept.contains(name)) steps.push_back({name, service, nullptr});
  return steps;
}

/// Why an operator would regret this step; empty when not.
std::string danger(const Step& step) {
  if (!step.before || !has_usable(*step.before)) return "";
  if (!step.after)
    return fmt::format("service \"{}\" still has backends that take traffic; drain or delete them first", step.name);
  if (has_usable(*step.after)) return "";
  return fmt::format("this would take the last usable backend from service \"{}\" ({})", step.name, differences(step));
}

}  // namespace

Result<Plan> Pool::plan(const Mutation& mutation, bool force, u64 now) const {
  auto steps = std::visit([this, now](const auto& m) { return next(*this, m, now); }, mutation);
  if (!steps) return tl::unexpected(std::move(steps.error()));

  Plan plan;
  Usage after = usage_;
  for (Step& step : *steps) {
    if (step.after)
      if (auto breach = breach_of(*step.after, tunnel_)) return tl::unexpected(std::move(breach->error));
    auto lines = describe(step);
    if (lines.empty()) continue;
    after -= usage_of(step.before.get());
    after += usage_of(step.after.get());
    plan.lines.insert(plan.lines.end(), lines.begin(), lines.end());
    plan.steps.push_back(std::move(step));
  }
  if (auto breach = claims_.conflict(plan.steps)) return tl::unexpected(std::move(breach->error));
  if (auto error = over_limit(after, limits_)) return tl::unexpected(std::move(*error));
  if (force) return plan;

  const auto* replace = std::get_if<Replace>(&mutation);
  if (replace && replace->services.empty() && !services_.empty())
    return fail(Fault::refused, "this would delete every service ({} now); --force does it", services_.size());
  for (const Step& step : plan.steps)
    if (std::string why = danger(step); !why.empty()) return fail(Fault::refused, "{}; --force does it", why);
  return plan;
}

void Pool::commit(const Plan& plan) {
  claims_.apply(plan.steps);
  for (const Step& step : plan.steps) {
    usage_ -= usage_of(step.before.get());
    usage_ += usage_of(step.after.get());
    if (step.after)
      services_.insert_or_assign(step.name, step.after);
    else
      services_.erase(step.name);
  }
}

std::shared_ptr<const Service> Pool::find(const std::string& name) const {
  const auto found = services_.find(name);
  return found == services_.end() ? nullptr : found->second;
}

}  // namespace weir::model

// SPDX-License-Identifier: Apache-2.0
// What a plan would do to rows and flows, in the words of Publisher::apply and without its stores.
#include <algorithm>

#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/rows.hpp"

namespace weir::table {
namespace {

/// A nat backend that a plan has, and whose answers are its own.
struct Newcomer {
  u32 step;
  std::string service;
  Protocol protocol;
  model::Endpoint endpoint;
};

std::vector<Newcomer> newcomers_of(const model::Plan& plan) {
  std::vector<Newcomer> found;
  for (u32 i = 0; i < plan.steps.size(); ++i) {
    const auto& after = plan.steps[i].after;
    if (!after || after->mode != Mode::nat) continue;
    for (const model::Backend& b : after->backends) found.push_back({i, after->name, after->protocol, b.endpoint});
  }
  return found;
}

bool claims_answers_of(const Newcomer& newcomer, const std::string& service, const Backend& b) {
  return b.mode == Mode::nat && newcomer.service != service && newcomer.protocol == b.protocol &&
         newcomer.endpoint.address == b.address &&
         (newcomer.endpoint.port == to_host(b.port) || newcomer.endpoint.port == 0 || b.port.raw == 0);
}

void add_all(const Placed& placed, std::vector<u32>& ids) {
  for (const auto& [endpoint, id] : placed.backends) ids.push_back(id);
  for (const auto& [endpoint, leaving] : placed.leaving) ids.push_back(leaving.id);
}

}  // namespace

std::vector<Effect> Publisher::foresee(const model::Plan& plan) const {
  const std::vector<Newcomer> newcomers = newcomers_of(plan);
  const auto is_robbed = [&](const std::string& service, u32 id) {
    return std::any_of(newcomers.begin(), newcomers.end(),
                       [&](const Newcomer& n) { return claims_answers_of(n, service, memory_.backends[id]); });
  };
  std::vector<std::string> renamed;
  std::vector<Effect> effects;
  for (const model::Step& step : plan.steps) {
    Effect& effect = effects.emplace_back(Effect{.service = step.name});
    const Placed* present = placed(step.name);
    if (!step.after) {
      if (present) effect.id = present->id;
      continue;
    }
    effect.rows = step.after->rows;
    if (!present) present = predecessor(*step.after, plan);
    if (!present) continue;
    effect.id = present->id;
    if (!stands_there(*present, *step.after)) {
      add_all(*present, effect.dying);
      continue;
    }
    for (const model::Step& other : plan.steps)
      if (placed(other.name) == present) renamed.push_back(other.name);
    foresee_rows(*step.after, *present, effect);
    foresee_states(*step.after, *present, effect);
    std::vector<u32> all;
    add_all(*present, all);
    for (const u32 id : all)
      if (is_robbed(step.name, id) && std::find(effect.dying.begin(), effect.dying.end(), id) == effect.dying.end())
        effect.dying.push_back(id);
  }
  // Leaving backends of services that the plan does not touch.
  for (const auto& [name, placed] : placed_) {
    const std::string& present = name;  // clang takes no structured binding into a lambda
    if (std::any_of(plan.steps.begin(), plan.steps.end(), [&](const model::Step& s) { return s.name == present; }))
      continue;
    for (const auto& [endpoint, leaving] : placed.leaving)
      for (const Newcomer& n : newcomers)
        if (claims_answers_of(n, name, memory_.backends[leaving.id])) effects[n.step].dying.push_back(leaving.id);
  }
  for (std::size_t i = 0; i < effects.size(); ++i)
    if (const Placed* gone = plan.steps[i].after ? nullptr : placed(effects[i].service))
      if (std::find(renamed.begin(), renamed.end(), effects[i].service) == renamed.end())
        add_all(*gone, effects[i].dying);
  return effects;
}

void Publisher::foresee_rows(const model::Service& service, const Placed& present, Effect& effect) const {
  // New backends have no ids yet: any that nobody has will do.
  u32 unknown = backend_id_mask;
  const std::vector<u32> owners = owners_of(service, [&](const std::string& endpoint) {
    if (const auto known = present.backends.find(endpoint); known != present.backends.end()) return known->second;
    if (const auto back = present.leaving.find(endpoint); back != present.leaving.end()) return back->second.id;
    return unknown--;
  });
  const std::span<const Row> old = rows_of(present);
  effect.rows_moved = count_moved(old, owners);
  const auto alive = [this](u32 id) { return is_alive(id); };
  if (table_hash(memory_.services[present.id].table) != service.hash)
    add_all(present, effect.losing);
  else
    loses_flows(old, service.rows, alive, effect.losing);
}

void Publisher::foresee_states(const model::Service& service, const Placed& present, Effect& effect) const {
  std::map<std::string, u32> absent = present.backends;
  for (const model::Backend& backend : service.backends) {
    const std::string endpoint = model::to_text(backend.endpoint);
    absent.erase(endpoint);
    u32 id = nobody;
    if (const auto known = present.backends.find(endpoint); known != present.backends.end()) id = known->second;
    if (const auto back = present.leaving.find(endpoint); back != present.leaving.end()) id = back->second.id;
    if (id != nobody && table::state_of(backend) == BackendState::dead && is_alive(id)) effect.dying.push_back(id);
  }
  for (const auto& [endpoint, id] : absent)
    if (service.on_remove != model::OnRemove::keep && is_alive(id)) effect.dying.push_back(id);
}

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/drains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace weir::daemon {
namespace {

using nlohmann::json;

constexpr double removed_kept = 600;  // seconds

/// How long a drain has lasted whose start nobody witnessed. It is kept in whole seconds, so this may be up to a second
/// too much.
double age_of(const model::Drain& drain, double unix_time) {
  return std::max(unix_time - static_cast<double>(drain.started), 0.0);
}
constexpr double start_unit = 1;  // second

const char* text_of(DrainState state) {
  switch (state) {
    case DrainState::drained:
      return "drained";
    case DrainState::deadline:
      return "deadline";
    case DrainState::watching:
      break;
  }
  return "watching";
}

json seconds(double value) { return std::round(value * 1000) / 1000; }
json seconds(const std::optional<double>& value) { return value ? seconds(*value) : json(nullptr); }

}  // namespace

json drain_json(const std::string& service, const std::string& backend, const Progress* progress) {
  const Progress none;
  const Progress& p = progress ? *progress : none;
  return {{"service", service},
          {"backend", backend},
          {"state", progress ? text_of(p.state) : "none"},
          {"counted", p.counted},
          {"remaining", p.remaining},
          {"complete", p.complete},
          {"watched_seconds", seconds(p.watched)},
          {"watch_seconds", p.watch},
          {"last_packet_seconds", seconds(p.last_packet)},
          {"deadline_seconds_left", seconds(p.deadline_left)},
          {"rows_open", p.rows_open},
          {"reset", p.reset}};
}

DrainState Drains::judge(const Tracked& tracked) {
  const double watched = tracked.swept - tracked.began;
  const model::Drain& drain = tracked.seen.drain;
  if (tracked.ended) return DrainState::deadline;
  if (tracked.seen.remaining == 0 && (tracked.seen.complete || watched - tracked.doubt >= drain.watch))
    return DrainState::drained;
  return drain.deadline != 0 && watched >= drain.deadline ? DrainState::deadline : DrainState::watching;
}

Progress Drains::describe(const Moment& now, const Tracked& tracked) {
  Progress p;
  const model::Drain& drain = tracked.seen.drain;
  p.state = judge(tracked);
  p.counted = true;
  p.remaining = tracked.seen.remaining;
  p.complete = tracked.seen.complete;
  p.watched = std::max(now.steady - tracked.began, 0.0);
  if (tracked.last_packet) p.last_packet = std::max(now.steady - *tracked.last_packet, 0.0);
  if (drain.deadline != 0) p.deadline_left = std::max(drain.deadline - p.watched, 0.0);
  p.rows_open = tracked.seen.rows_open;
  p.reset = tracked.reset;
  p.watch = drain.watch;
  return p;
}

void Drains::act(Tracked& tracked, Actions& actions) const {
  const model::Drain& drain = tracked.seen.drain;
  const double watched = tracked.swept - tracked.began;
  const Name name{tracked.seen.service, tracked.seen.backend};
  const std::string label = fmt::format("{}/{}", name.first, name.second);
  // After the flows were ended it is the next sweep that lets the backend go.
  const bool ended_before = tracked.ended;
  const DrainState state = judge(tracked);
  if (state == DrainState::deadline && drain.force_after && !tracked.ended) {
    tracked.ended = true;
    tracked.reset = tracked.seen.remaining;
    actions.end.push_back(name);
  }
  // A deadline that has passed was the operator's word to wait no longer, whatever has become of the flows since.
  const bool in_time = drain.deadline == 0 || watched < drain.deadline || drain.force_after;
  // A flow that woke before anybody could remove the backend takes the proof back.
  if (tracked.seen.remaining != 0 && !ended_before) tracked.to_remove = false;
  if (drain.then_remove && ((state == DrainState::drained && in_time) || ended_before)) tracked.to_remove = true;
  if (tracked.to_remove) actions.remove.push_back(name);
  if (state == tracked.told) return;
  tracked.told = state;
  if (state == DrainState::drained)
    actions.events.push_back(
        fmt::format("{} is drained after {:.0f} s{}", label, watched, tracked.to_remove ? ", and is removed" : ""));
  if (state == DrainState::deadline)
    actions.events.push_back(fmt::format("{} has {} flows left at its deadline of {} s{}", label,
                                         tracked.seen.remaining, drain.deadline,
                                         drain.force_after ? ": they are reset" : "; they go on"));
}

void Drains::forget_absent(const Moment& now, const std::vector<Draining>& draining) {
  std::set<Name> present;
  for (const Draining& d : draining) present.emplace(d.service, d.backend);
  std::erase_if(removed_, [&](const auto& item) {
    return now.steady - item.second.at > removed_kept || present.contains(item.first);
  });
  std::erase_if(tracked_, [&](const auto& item) {
    const auto& [name, tracked] = item;
    if (present.contains(name)) return false;
    if (tracked.to_remove) removed_[name] = {describe(now, tracked), now.steady};
    return true;
  });
}

Drains::Actions Drains::step(const Moment& now, const std::vector<Draining>& draining) {
  forget_absent(now, draining);
  Actions actions;
  for (const Draining& d : draining) {
    Tracked& tracked = tracked_[{d.service, d.backend}];
    if (!(tracked.seen.drain == d.drain)) {
      tracked = Tracked{};
      tracked.began = d.began ? *d.began : now.steady - age_of(d.drain, now.unix_time);
      tracked.doubt = d.began ? 0 : start_unit;
    }
    tracked.seen = d;
    tracked.swept = now.steady;
    if (d.last_packet) tracked.last_packet = std::max(*d.last_packet, tracked.last_packet.value_or(*d.last_packet));
    act(tracked, actions);
  }
  return actions;
}

Progress Drains::progress(const Moment& now, const std::string& service, const std::string& backend,
                          const model::Drain& drain) const {
  const auto found = tracked_.find({service, backend});
  if (found != tracked_.end() && found->second.seen.drain == drain) return describe(now, found->second);
  Progress unseen;
  unseen.watch = drain.watch;
  unseen.watched = age_of(drain, now.unix_time);
  if (drain.deadline != 0) unseen.deadline_left = std::max(drain.deadline - unseen.watched, 0.0);
  return unseen;
}

std::optional<Progress> Drains::removed(const Moment& now, const Name& name) const {
  if (const auto found = removed_.find(name); found != removed_.end()) return found->second.progress;
  // It has gone since the last step.
  const auto found = tracked_.find(name);
  if (found == tracked_.end() || !found->second.to_remove) return std::nullopt;
  return describe(now, found->second);
}

bool Drains::waiting() const {
  return std::any_of(tracked_.begin(), tracked_.end(), [](const auto& item) {
    const Tracked& tracked = item.second;
    return tracked.to_remove || judge(tracked) == DrainState::watching;
  });
}

}  // namespace weir::daemon

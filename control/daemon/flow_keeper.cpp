// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/flow_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "control/daemon/conns.hpp"
#include "control/daemon/report.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {
namespace {

void log(const std::string& line) { fmt::print(stderr, "lbd: {}\n", line); }

Moment present() {
  using Seconds = std::chrono::duration<double>;
  return {Seconds(std::chrono::steady_clock::now().time_since_epoch()).count(),
          Seconds(std::chrono::system_clock::now().time_since_epoch()).count()};
}

constexpr double tick_seconds = static_cast<double>(u64{1} << tick_shift) / 1e9;

}  // namespace

FlowKeeper::FlowKeeper(boost::asio::io_context& loop, const Desired& desired, FastPath& fast_path, Remove remove)
    : desired_(desired),
      fast_path_(fast_path),
      remove_(std::move(remove)),
      sweeper_(loop, fast_path.flows(), fast_path.memory(),
               {.needed = [this] { return needed(); },
                .begin = [this] { return begin(); },
                .end = [this](flows::Survey& survey) { return end(survey); }}) {}

/// Whether a service has ever been sent a packet.
bool FlowKeeper::has_seen_flows(const std::string& service) const {
  const table::Placed* placed = fast_path_.publisher().placed(service);
  return placed && fast_path_.counting().service(placed->id).packets != 0;
}

// As in changed(): a service that begins to remember every flow with this start.
void FlowKeeper::take_over(const model::Plan& plan) {
  for (const model::Step& step : plan.steps) {
    if (!step.after || step.after->track != model::Track::all) continue;
    const model::Service& wanted = *step.after;
    for (const Service& s : fast_path_.memory().services)
      if (s.in_use != 0 && s.vip == wanted.vip.address && to_host(s.port) == wanted.vip.port &&
          s.protocol == wanted.protocol && (s.table & table_track_all) == 0)
        known_from_[step.name] = present().steady + wanted.idle;
  }
}

// A flow that was silent while nobody remembered it is known after its next packet, or gone after its idle time.
void FlowKeeper::changed(const model::Plan& plan) {
  const double now = present().steady;
  for (const model::Step& step : plan.steps) {
    if (!step.after) {
      flow_warnings_.forget(step.name);
      closed_.erase(step.name);
    }
    witness_drains(step, now);
    if (!step.after || step.after->track != model::Track::all)
      known_from_.erase(step.name);
    else if (step.before && step.before->track != model::Track::all && has_seen_flows(step.name))
      known_from_[step.name] = now + step.after->idle;
  }
  changed_ = true;
  sweeper_.hurry();
}

void FlowKeeper::witness_drains(const model::Step& step, double now) {
  if (step.before)
    for (const model::Backend& before : step.before->backends) {
      const model::Backend* after = step.after ? step.after->find(before.name) : nullptr;
      if (!after || after->drain != before.drain) witnessed_.erase({step.name, before.name});
    }
  if (!step.after) return;
  for (const model::Backend& after : step.after->backends) {
    const model::Backend* before = step.before ? step.before->find(after.name) : nullptr;
    if (after.drain && (!before || before->drain != after.drain))
      witnessed_[{step.name, after.name}] = {*after.drain, now};
  }
}

flows::ServiceFlows FlowKeeper::service(u32 id) const {
  return id < survey().services.size() ? survey().services[id] : flows::ServiceFlows{};
}
flows::BackendFlows FlowKeeper::backend(u32 id) const {
  return id < survey().backends.size() ? survey().backends[id] : flows::BackendFlows{};
}

std::array<u64, flows::closed_text.size()> FlowKeeper::closed(const std::string& service) const {
  const auto found = closed_.find(service);
  return found == closed_.end() ? std::array<u64, flows::closed_text.size()>{} : found->second;
}

bool FlowKeeper::knows_all(const model::Service& service) const {
  if (service.track != model::Track::all) return false;
  const auto from = known_from_.find(service.name);
  if (from != known_from_.end() && present().steady < from->second) return false;
  const table::Placed* placed = fast_path_.publisher().placed(service.name);
  return placed && (placed->evicted == 0 || age_of(placed->evicted_at, present_tick()) > placed->idle);
}

std::vector<model::Effect> FlowKeeper::effects(const model::Plan& plan) const {
  std::vector<model::Effect> all;
  for (const table::Effect& e : fast_path_.publisher().foresee(plan)) {
    model::Effect effect{.service = e.service, .rows = e.rows, .rows_moved = e.rows_moved};
    const table::Placed* placed = fast_path_.publisher().placed(e.service);
    if (placed) effect.flows_known = active_flows(*placed, *this);
    for (const u32 id : e.dying) effect.flows_affected += backend(id).remaining;
    const auto service = desired_.pool().find(e.service);
    effect.complete = (e.dying.empty() && e.losing.empty()) || (service && knows_all(*service));
    all.push_back(std::move(effect));
  }
  return all;
}

// Foreseeing a plan costs as much as carrying it out; only these changes take flows from rows that keep their owner.
Result<> FlowKeeper::check(const model::Plan& plan) const {
  const bool is_suspect = std::any_of(plan.steps.begin(), plan.steps.end(), [](const model::Step& step) {
    return step.before && step.after && (step.after->rows < step.before->rows || step.after->hash != step.before->hash);
  });
  if (!is_suspect) return {};
  if (auto room = fast_path_.publisher().reserve(plan); !room) return room;
  for (const table::Effect& e : fast_path_.publisher().foresee(plan)) {
    const auto service = desired_.pool().find(e.service);
    if (e.losing.empty() || (service && knows_all(*service))) continue;
    return fail(Fault::refused,
                "{}: fewer rows, or another hash, can break connections that are not remembered; track = \"all\" for "
                "longer than {} (idle) remembers every one; --force does it all the same",
                e.service, model::duration_text(service ? service->idle : 0));
  }
  return {};
}

Result<nlohmann::json> FlowKeeper::drain_status(const std::string& service, const std::string& backend) const {
  const auto found = desired_.pool().find(service);
  const model::Backend* present_backend = found ? found->find(backend) : nullptr;
  if (!present_backend) {
    if (const auto end = drains_.removed(present(), {service, backend})) return drain_json(service, backend, &*end);
    return fail(Fault::not_found, "there is no backend \"{}/{}\"; `lbctl backend list` shows those there are", service,
                backend);
  }
  if (!present_backend->drain) return drain_json(service, backend, nullptr);
  const Progress progress = drains_.progress(present(), service, backend, *present_backend->drain);
  return drain_json(service, backend, &progress);
}

std::vector<std::string> FlowKeeper::warnings() const { return flow_warnings_.present(present().steady); }

// While every row is settled and no service tracks all, the fast path enters nothing.
bool FlowKeeper::needed() const {
  if (changed_ || survey().entries + survey().embryos > 0 || drains_.waiting()) return true;
  const std::vector<bool> unsettled = fast_path_.publisher().unsettled();
  if (std::find(unsettled.begin(), unsettled.end(), true) != unsettled.end()) return true;
  return std::any_of(desired_.pool().services().begin(), desired_.pool().services().end(), [&](const auto& item) {
    const table::Placed* placed = fast_path_.publisher().placed(item.first);
    return item.second->track == model::Track::all || (placed && !placed->leaving.empty());
  });
}

flows::Unsettled FlowKeeper::begin() {
  began_ = present();
  changed_ = false;
  draining_at_begin_.clear();
  for (const auto& [name, service] : desired_.pool().services())
    for (const model::Backend& backend : service->backends) {
      if (!backend.drain) continue;
      Draining d{.service = name, .backend = backend.name, .drain = *backend.drain};
      const auto witnessed = witnessed_.find({name, backend.name});
      if (witnessed != witnessed_.end() && witnessed->second.first == d.drain) d.began = witnessed->second.second;
      draining_at_begin_.push_back(std::move(d));
    }
  return fast_path_.publisher().unsettled();
}

bool FlowKeeper::end(flows::Survey& survey) {
  read_counters(survey);
  fast_path_.publisher().age(survey, std::chrono::steady_clock::now(), [this](const std::string& name) {
    const auto service = desired_.pool().find(name);
    return service && knows_all(*service);
  });
  swept_ = true;
  carry_out(drains_.step(began_, find_draining(survey)));
  return drains_.waiting() || !(fast_path_.publisher().row_totals() == table::RowTotals{});
}

// Counters of services whose flow table nobody asks stand still: they are read as long as there are entries.
void FlowKeeper::read_counters(flows::Survey& survey) {
  const std::vector<bool> unsettled = fast_path_.publisher().unsettled();
  for (const auto& [name, service] : desired_.pool().services()) {
    const table::Placed* placed = fast_path_.publisher().placed(name);
    if (!placed || placed->id >= survey.services.size()) continue;
    flows::ServiceFlows& found = survey.services[placed->id];
    auto& sums = closed_[name];
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += found.closed[i];
    found.evicted_established = placed->evicted;
    if (swept_ && found.entries == 0 && !unsettled[placed->id] && service->track != model::Track::all) continue;
    const FlowCounters totals = fast_path_.counting().flows(placed->id);
    found.evicted_established = totals.evicted_established;
    for (const std::string& line : flow_warnings_.step(began_.steady, name, totals)) log("WARNING: " + line);
  }
}

// A drain that began, or was given other terms, after the sweep had begun is the next sweep's.
std::vector<Draining> FlowKeeper::find_draining(const flows::Survey& survey) const {
  std::vector<Draining> found;
  for (const Draining& at_begin : draining_at_begin_) {
    const auto service = desired_.pool().find(at_begin.service);
    const model::Backend* present_backend = service ? service->find(at_begin.backend) : nullptr;
    const table::Placed* placed = fast_path_.publisher().placed(at_begin.service);
    if (!present_backend || !placed || present_backend->drain != at_begin.drain) continue;
    const u32 id = backend_id(*placed, *present_backend);
    if (id >= survey.backends.size()) continue;
    Draining d = at_begin;
    const flows::BackendFlows& flows = survey.backends[id];
    d.remaining = flows.remaining;
    d.rows_open = fast_path_.publisher().rows_open_on(id);
    // A flow that was silent until just before its row's window ended may have come after the sweep had been there.
    d.complete = placed->is_seen_by(survey.tick) && (d.rows_open == 0 || knows_all(*service));
    if (flows.remaining != 0) d.last_packet = began_.steady - age_of(flows.last_tick, survey.tick) * tick_seconds;
    found.push_back(std::move(d));
  }
  return found;
}

void FlowKeeper::carry_out(const Drains::Actions& actions) {
  for (const std::string& event : actions.events) log(event);
  for (const Drains::Name& name : actions.end) {
    const auto service = desired_.pool().find(name.first);
    const model::Backend* backend = service ? service->find(name.second) : nullptr;
    const table::Placed* placed = fast_path_.publisher().placed(name.first);
    if (!backend || !placed) continue;
    fast_path_.publisher().end(name.first, backend->endpoint);
    kill_backend(placed->id, backend_id(*placed, *backend), fast_path_);
  }
  for (const Drains::Name& name : actions.remove) remove_(name);
}

}  // namespace weir::daemon

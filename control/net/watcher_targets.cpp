// SPDX-License-Identifier: Apache-2.0
// Targets: from an address to its route, from the route to a neighbour, and back when either changes.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "control/net/watcher_state.hpp"

namespace weir::net {

namespace {

// After a change of routes Weir waits this long for the rest of the burst. Between two passes over the targets it rests
// for a multiple of what the last one cost, so that a churning routing daemon costs at most a fifth of the event loop's
// time.
constexpr std::chrono::milliseconds relookup_delay{20};
constexpr int relookup_rest = 4;
constexpr std::size_t targets_per_slice = 256;

}  // namespace

Watcher::State::Target& Watcher::State::add_watch(const Ip& address) {
  auto [at, added] = targets_.try_emplace(address);
  Target& target = at->second;
  ++target.watches;
  if (added) {
    target.address = address;
    find_hop(target);
  }
  return target;
}

NextHop Watcher::State::watch(const Ip& address) {
  Target& target = add_watch(address);
  if (target.watches == 1) target.reported = target.hop;
  return target.hop;
}

void Watcher::State::unwatch(const Ip& address) {
  const auto found = targets_.find(address);
  if (found == targets_.end() || --found->second.watches > 0) return;
  leave_neighbour(found->second);
  targets_.erase(found);
}

std::optional<NextHop> Watcher::State::current(const Ip& address) const {
  const auto found = targets_.find(address);
  return found == targets_.end() ? std::nullopt : std::optional(found->second.hop);
}

void Watcher::State::resolve(const Ip& address, int timeout_ms, std::function<void(NextHop)> done) {
  Target& target = add_watch(address);
  auto waiter = std::make_shared<Waiter>(Waiter{.done = std::move(done), .timeout = boost::asio::steady_timer(loop_)});
  target.waiters.push_back(waiter);
  if (target.neighbour != nullptr) {
    waiter->asked = target.neighbour->key;
    waiter->failures = target.neighbour->life.failures();
    target.neighbour->life.hurry(Clock::now());
    reschedule(*target.neighbour);
  }
  waiter->timeout.expires_after(std::chrono::milliseconds(timeout_ms));
  waiter->timeout.async_wait([self = shared_from_this(), waiter, address](const boost::system::error_code& error) {
    if (error || self->stopped_) return;
    if (const auto found = self->targets_.find(address); found != self->targets_.end())
      self->answer(found->second, waiter);
  });
  answer_waiters(target);
}

void Watcher::State::answer_waiters(Target& target) {
  const auto known = [&](const Waiter& waiter) {
    if (target.hop.state == HopState::resolving) return false;
    if (target.hop.state != HopState::failed || !(target.neighbour->key == waiter.asked)) return true;
    return target.neighbour->life.failures() != waiter.failures;
  };
  const auto waiters = target.waiters;
  for (const auto& waiter : waiters)
    if (known(*waiter)) answer(target, waiter);
}

void Watcher::State::answer(Target& target, std::shared_ptr<Waiter> waiter) {
  if (std::erase(target.waiters, waiter) == 0) return;  // answered already; its time-out was on its way
  waiter->timeout.cancel();
  // The watch that resolve() holds ends in the loop, not here: the caller may be walking over the targets.
  boost::asio::post(loop_,
                    [self = shared_from_this(), waiter, hop = target.hop, address = target.address, epoch = epoch_] {
                      if (self->stopped_) return;
                      if (epoch == self->epoch_) self->unwatch(address);
                      waiter->done(hop);
                    });
}

void Watcher::State::find_hop(Target& target) {
  ++counters_.route_lookups;
  const Route route = find_route(questions_, target.address);
  if (route.kind == Route::Kind::none || route.kind == Route::Kind::local) {
    leave_neighbour(target);
    settle(target, {.state = route.kind == Route::Kind::local ? HopState::local : HopState::no_route});
    return;
  }
  if (!links_.find(route.ifindex)) links_.read_one(questions_, route.ifindex, changes_);
  target.route_mtu = route.mtu;
  if (route.kind == Route::Kind::encapsulated || !links_.is_ethernet(route.ifindex)) {
    leave_neighbour(target);
    const auto link = links_.find(route.ifindex);
    settle(target, {.state = HopState::loopback_or_unusable,
                    .ifindex = route.ifindex,
                    .interface = link ? link->name : std::string(),
                    .gateway = route.gateway,
                    .on_link = route.gateway == target.address,
                    .mtu = mtu_of(target, link)});
    return;
  }
  lead_to(target, {route.gateway, route.ifindex});
  settle_from_neighbour(target);
}

void Watcher::State::lead_to(Target& target, const NeighbourKey& key) {
  if (target.neighbour != nullptr && target.neighbour->key == key) return;
  leave_neighbour(target);
  Neighbour& neighbour = track(key);
  neighbour.users.insert(&target);
  target.neighbour = &neighbour;
}

void Watcher::State::leave_neighbour(Target& target) {
  Neighbour* left = std::exchange(target.neighbour, nullptr);
  if (left == nullptr) return;
  left->users.erase(&target);
  if (left->users.empty()) untrack(*left);
}

void Watcher::State::settle_from_neighbour(Target& target) {
  const Neighbour& neighbour = *target.neighbour;
  const auto link = links_.find(neighbour.key.ifindex);
  const HopState state = neighbour.life.state();
  settle(target, {.state = state,
                  .ifindex = neighbour.key.ifindex,
                  .interface = link ? link->name : std::string(),
                  .gateway = neighbour.key.address,
                  .on_link = neighbour.key.address == target.address,
                  .mac = state == HopState::resolved ? neighbour.life.mac() : 0,
                  .mtu = mtu_of(target, link)});
}

// A metric above the link's MTU promises what the interface will not send.
u32 Watcher::State::mtu_of(const Target& target, const std::optional<Link>& link) {
  const u32 link_mtu = link ? link->mtu : 0;
  return target.route_mtu == 0 || link_mtu == 0 ? std::max(target.route_mtu, link_mtu)
                                                : std::min(target.route_mtu, link_mtu);
}

void Watcher::State::settle(Target& target, NextHop hop) {
  target.hop = std::move(hop);
  if (!target.to_report && !(target.hop == target.reported)) {
    target.to_report = true;
    to_report_.push_back(target.address);
    report_later();
  }
  answer_waiters(target);
}

void Watcher::State::start_relookup() {
  changed_since_pass_ = true;
  if (relookup_due_ || targets_.empty() || stopped_) return;
  relookup_due_ = true;
  relookup_timer_.expires_at(std::max(Clock::now() + relookup_delay, relookup_ended_ + relookup_rest * relookup_cost_));
  relookup_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->stopped_) return;
    ++self->counters_.relookups;
    self->changed_since_pass_ = false;
    self->relookup_cost_ = {};
    self->relookup_list_.clear();
    for (const auto& [address, target] : self->targets_) self->relookup_list_.push_back(address);
    self->relookup_slice();
  });
}

void Watcher::State::relookup_slice() {
  const Time began = Clock::now();
  for (std::size_t done = 0; done < targets_per_slice && !relookup_list_.empty(); ++done) {
    const auto found = targets_.find(relookup_list_.back());
    relookup_list_.pop_back();
    if (found != targets_.end()) find_hop(found->second);
  }
  relookup_cost_ += Clock::now() - began;
  if (!relookup_list_.empty()) {
    boost::asio::post(loop_, [self = shared_from_this()] {
      if (!self->stopped_) self->relookup_slice();
    });
    return;
  }
  relookup_due_ = false;
  relookup_ended_ = Clock::now();
  if (changed_since_pass_) start_relookup();
}

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
#include "control/net/watcher.hpp"

#include <linux/rtnetlink.h>

#include <array>
#include <utility>

#include "control/net/watcher_state.hpp"

namespace weir::net {

namespace {

// Listening to RTNLGRP_NEXTHOP as well: a next-hop object can change under a route that stays as it is.
constexpr std::array groups{int{RTNLGRP_LINK},        int{RTNLGRP_NEIGH},      int{RTNLGRP_IPV4_IFADDR},
                            int{RTNLGRP_IPV6_IFADDR}, int{RTNLGRP_IPV4_ROUTE}, int{RTNLGRP_IPV6_ROUTE},
                            int{RTNLGRP_IPV4_RULE},   int{RTNLGRP_IPV6_RULE},  int{RTNLGRP_NEXTHOP}};

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::open(boost::asio::io_context& loop, Events events) {
  // Listening begins before the first reading, so that no change falls between the two.
  auto notifications = NetlinkSocket::open_listening(groups);
  if (!notifications) return tl::unexpected(notifications.error());
  auto questions = NetlinkSocket::open();
  if (!questions) return tl::unexpected(questions.error());
  auto state =
      std::make_shared<State>(loop, std::move(events), std::move(questions.value()), std::move(notifications.value()));
  if (auto started = state->start(); !started) {
    state->stop();
    return tl::unexpected(started.error());
  }
  return std::unique_ptr<Watcher>(new Watcher(std::move(state)));
}

Watcher::Watcher(std::shared_ptr<State> state) : state_(std::move(state)) {}
Watcher::~Watcher() { state_->stop(); }

NextHop Watcher::watch(const Ip& target) { return state_->watch(target); }
void Watcher::unwatch(const Ip& target) { state_->unwatch(target); }
std::optional<NextHop> Watcher::current(const Ip& target) const { return state_->current(target); }
void Watcher::resolve(const Ip& target, int timeout_ms, std::function<void(NextHop)> done) {
  state_->resolve(target, timeout_ms, std::move(done));
}
void Watcher::nudge(const Ip& neighbour, int ifindex) { state_->nudge({neighbour, ifindex}); }
Result<u32> Watcher::forget() { return state_->forget(); }
std::optional<Link> Watcher::link(const std::string& name) const { return state_->links().find(name); }
std::optional<Link> Watcher::link(int ifindex) const { return state_->links().find(ifindex); }
bool Watcher::is_local(const Ip& address) const { return state_->links().is_local(address); }
const Watcher::Counters& Watcher::counters() const { return state_->counters(); }

}  // namespace weir::net

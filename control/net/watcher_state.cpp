// SPDX-License-Identifier: Apache-2.0
// Notifications in, reports out.
#include "control/net/watcher_state.hpp"

#include <linux/rtnetlink.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <utility>

namespace weir::net {

namespace {

// Datagrams read before the event loop's other work gets its turn.
constexpr int datagrams_per_turn = 512;

}  // namespace

Watcher::State::State(boost::asio::io_context& loop, Events events, NetlinkSocket questions,
                      NetlinkSocket notifications)
    : loop_(loop),
      events_(std::move(events)),
      questions_(std::move(questions)),
      notifications_(std::move(notifications)),
      readable_(loop, notifications_.fd()),
      relookup_timer_(loop),
      agenda_timer_(loop) {}

Result<void> Watcher::State::start() {
  if (auto read = read_all(); !read) return read;
  changes_ = {};  // what is there at the start is no news
  await_notifications();
  return {};
}

void Watcher::State::stop() {
  stopped_ = true;
  events_ = {};
  relookup_timer_.cancel();
  agenda_timer_.cancel();
  for (auto& [address, target] : targets_)
    for (auto& waiter : target.waiters) waiter->timeout.cancel();
  readable_.release();  // the descriptor is closed by its owner, notifications_
}

void Watcher::State::await_notifications() {
  readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         if (error || self->stopped_) return;
                         self->hear_notifications();
                         self->await_notifications();
                       });
}

void Watcher::State::hear_notifications() {
  const auto heard = notifications_.hear(datagrams_per_turn, [this](const nlmsghdr* message) { hear(message); });
  if (heard == NetlinkSocket::Heard::overrun) {
    ++counters_.overruns;
    // What still waits in the socket is older than what is read now.
    while (notifications_.hear(datagrams_per_turn, [](const nlmsghdr*) {}) != NetlinkSocket::Heard::empty) {
    }
    if (auto read = read_all(); !read) warnings_.push_back(read.error().message);
    start_relookup();
  }
  report_later();
}

void Watcher::State::hear(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (const auto news = read_neighbour(message))
        if (const auto found = neighbours_.find(news->key); found != neighbours_.end())
          hear_neighbour(found->second, news->entry);
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWADDR:
    case RTM_DELADDR:
      links_.apply(message, changes_);
      break;
    default:  // routes, rules, next-hop objects
      break;
  }
  start_relookup();
}

Result<void> Watcher::State::read_all() {
  if (auto read = links_.read_all(questions_, changes_); !read) return read;
  if (neighbours_.empty()) return {};
  std::unordered_set<NeighbourKey, NeighbourKeyHash> seen;
  const auto take = [&](const nlmsghdr* message) {
    const auto news = read_neighbour(message);
    if (!news) return;
    const auto found = neighbours_.find(news->key);
    if (found == neighbours_.end()) return;
    seen.insert(news->key);
    hear_neighbour(found->second, news->entry);
  };
  if (auto read = questions_.dump(RTM_GETNEIGH, AF_UNSPEC, take); !read) return read;
  for (auto& [key, neighbour] : neighbours_)
    if (!seen.contains(key)) hear_neighbour(neighbour, std::nullopt);
  return {};
}

void Watcher::State::report_later() {
  if (report_posted_ || stopped_) return;
  if (to_report_.empty() && changes_.links.empty() && changes_.addresses.empty() && warnings_.empty()) return;
  report_posted_ = true;
  boost::asio::post(loop_, [self = shared_from_this()] {
    self->report_posted_ = false;
    self->report();
  });
}

void Watcher::State::report() {
  // Taken out first: a callee may watch, unwatch, or destroy the Watcher, after which `events_` is empty.
  const auto changes = std::exchange(changes_, {});
  const auto addresses = std::exchange(to_report_, {});
  const auto warnings = std::exchange(warnings_, {});
  for (const Link& link : changes.links)
    if (const auto tell = events_.link_changed) tell(link);
  for (const AddressChange& change : changes.addresses)
    if (const auto tell = events_.address_changed) tell(change.address, change.present);
  for (const Ip& address : addresses) {
    const auto found = targets_.find(address);
    if (found == targets_.end()) continue;
    Target& target = found->second;
    target.to_report = false;
    if (target.hop == target.reported) continue;  // went and came back
    target.reported = target.hop;
    if (const auto tell = events_.hop_changed) tell(address, NextHop(target.hop));
  }
  for (const std::string& message : warnings)
    if (const auto tell = events_.warning) tell(message);
}

}  // namespace weir::net

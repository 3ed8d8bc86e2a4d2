// SPDX-License-Identifier: Apache-2.0
// Inside of Watcher: targets, the neighbours that they lead to, and the timers that move them.
// Only the files watcher*.cpp include this.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/net/agenda.hpp"
#include "control/net/links.hpp"
#include "control/net/neighbour_life.hpp"
#include "control/net/neighbours.hpp"
#include "control/net/netlink_socket.hpp"
#include "control/net/routes.hpp"
#include "control/net/watcher.hpp"

namespace weir::net {

class Watcher::State : public std::enable_shared_from_this<State> {
 public:
  State(boost::asio::io_context& loop, Events events, NetlinkSocket questions, NetlinkSocket notifications);

  Result<void> start();
  void stop();

  NextHop watch(const Ip& address);
  void unwatch(const Ip& address);
  void resolve(const Ip& address, int timeout_ms, std::function<void(NextHop)> done);
  void nudge(const NeighbourKey& key);
  Result<u32> forget();

  [[nodiscard]] std::optional<NextHop> current(const Ip& address) const;
  [[nodiscard]] const Links& links() const { return links_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Target;
  struct Neighbour;

  /// Somebody who called resolve() and has not been answered.
  struct Waiter {
    std::function<void(NextHop)> done;
    boost::asio::steady_timer timeout;
    NeighbourKey asked{};
    u32 failures = 0;  ///< of `asked` when the question came
  };

  struct Target {
    Ip address{};
    u32 watches = 0;
    NextHop hop;
    NextHop reported;  ///< what the owner knows
    bool to_report = false;
    Neighbour* neighbour = nullptr;  ///< null unless the route leads to one
    u32 route_mtu = 0;               ///< as in Route
    std::vector<std::shared_ptr<Waiter>> waiters;
  };

  struct Neighbour {
    NeighbourKey key;
    NeighbourLife life;
    std::unordered_set<Target*> users;
    Agenda<Neighbour>::Place place;
  };

  // Targets and hops: watcher_targets.cpp.
  Target& add_watch(const Ip& address);
  void find_hop(Target& target);
  void lead_to(Target& target, const NeighbourKey& key);
  void leave_neighbour(Target& target);
  [[nodiscard]] static u32 mtu_of(const Target& target, const std::optional<Link>& link);
  void settle(Target& target, NextHop hop);
  void settle_from_neighbour(Target& target);
  void answer_waiters(Target& target);
  void answer(Target& target, std::shared_ptr<Waiter> waiter);
  void start_relookup();
  void relookup_slice();

  // Neighbours and their agenda: watcher_neighbours.cpp.
  Neighbour& track(const NeighbourKey& key);
  void untrack(Neighbour& neighbour);
  void hear_neighbour(Neighbour& neighbour, const std::optional<NeighbourEntry>& entry);
  void life_moved(Neighbour& neighbour, HopState state_before, MacBits mac_before, u32 failures_before);
  void ask_about(Neighbour& neighbour);
  void reschedule(Neighbour& neighbour);
  void wake_agenda();
  void warn(int code, const NeighbourKey& key);

  // Notifications and reports: watcher_state.cpp.
  void await_notifications();
  void hear_notifications();
  void hear(const nlmsghdr* message);
  Result<void> read_all();
  void report_later();
  void report();

  boost::asio::io_context& loop_;
  Events events_;
  NetlinkSocket questions_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor readable_;
  boost::asio::steady_timer relookup_timer_;
  boost::asio::steady_timer agenda_timer_;
  bool stopped_ = false;
  u32 epoch_ = 0;  ///< counts forget(): a watch from before it needs no unwatch

  Links links_;
  Links::Changes changes_;
  std::unordered_map<Ip, Target, IpHash> targets_;
  std::unordered_map<NeighbourKey, Neighbour, NeighbourKeyHash> neighbours_;
  Agenda<Neighbour> agenda_;
  std::optional<Time> agenda_wakes_;

  bool relookup_due_ = false;        // a timer or a pass is under way
  bool changed_since_pass_ = false;  // routes changed after the pass under way began
  Time relookup_ended_{};
  Clock::duration relookup_cost_{};
  std::vector<Ip> relookup_list_;

  std::vector<Ip> to_report_;
  std::vector<std::string> warnings_;
  Time warned_{};
  bool report_posted_ = false;
  Counters counters_;
};

}  // namespace weir::net

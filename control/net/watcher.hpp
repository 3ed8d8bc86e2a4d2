// SPDX-License-Identifier: Apache-2.0
// Follows the kernel's links, addresses, routes and neighbours over rtnetlink and answers "what is the next hop to X?".
// Sends nothing on the wire itself: it asks the kernel to resolve and to confirm, so ARP and ND stay the kernel's
// business. README.md in this folder says when it asks.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "control/model/result.hpp"
#include "control/net/next_hop.hpp"

namespace weir::net {

class Watcher {
 public:
  /// Called on the event loop after the kernel's tables changed, never from within a method of Watcher. Each may be
  /// left empty; each may call any method, and may destroy the Watcher.
  struct Events {
    /// For every target under watch.
    std::function<void(const Ip& target, const NextHop& hop)> hop_changed{};
    /// MAC, MTU, name or state of any link; one that was removed is not `up`.
    std::function<void(const Link& link)> link_changed{};
    /// A local address came or went.
    std::function<void(const Ip& address, bool present)> address_changed{};
    /// The kernel refuses what the watcher needs; a sentence that says what to do, at most one a second.
    std::function<void(const std::string& message)> warning{};
  };

  /// What the watcher did since it was opened.
  struct Counters {
    u64 route_lookups = 0;  ///< questions to the routing table
    u64 relookups = 0;      ///< passes over all targets after a change of routes, addresses or links
    u64 resolutions = 0;    ///< neighbours that the kernel was asked to resolve
    u64 confirmations = 0;  ///< neighbours that the kernel was asked to confirm by unicast
    u64 overruns = 0;       ///< times that notifications were lost and everything was read anew
  };

  /// Opens the sockets in the calling thread's network namespace and reads the present state. Faults: internal.
  static Result<std::unique_ptr<Watcher>> open(boost::asio::io_context& loop, Events events);
  /// Leaves the kernel's neighbour entries as they are. A pending `resolve` is not answered.
  ~Watcher();

  /// Puts `target` under watch: its next hop is resolved, kept fresh (the kernel is asked to confirm the neighbour) and
  /// reported when it changes. Counted: watch twice, unwatch twice. Returns what is known now.
  NextHop watch(const Ip& target);
  void unwatch(const Ip& target);
  [[nodiscard]] std::optional<NextHop> current(const Ip& target) const;

  /// Asks the kernel for the route and, if need be, the neighbour of `target`; calls `done` once, from the event loop,
  /// with the outcome: at once when it is known, else as soon as it is resolved or failed, at the latest after
  /// `timeout_ms`. A failure of the past is not an outcome: the neighbour is asked for again.
  void resolve(const Ip& target, int timeout_ms, std::function<void(NextHop)> done);

  /// One nudge to the kernel to resolve `neighbour` on `ifindex`; used when the fast path met a client without one.
  void nudge(const Ip& neighbour, int ifindex);

  /// Drops all watches and deletes the neighbour entries that Weir made the kernel create in this network namespace,
  /// also those of an earlier run; not those that were made PERMANENT since. Returns how many. Faults: internal.
  Result<u32> forget();

  [[nodiscard]] std::optional<Link> link(const std::string& name) const;
  [[nodiscard]] std::optional<Link> link(int ifindex) const;
  [[nodiscard]] bool is_local(const Ip& address) const;
  [[nodiscard]] const Counters& counters() const;

 private:
  class State;
  explicit Watcher(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // shared with completions that are on their way in the event loop
};

}  // namespace weir::net

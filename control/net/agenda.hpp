// SPDX-License-Identifier: Apache-2.0
// Which neighbour is to be asked about next, and how many may be asked in one go.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "control/net/neighbour_life.hpp"

namespace weir::net {

/// Items by due time, urgent ones apart: a thousand routine confirmations must not delay a resolution.
template <class Item>
class Agenda {
 public:
  // Per tick of 20 ms: at most 2500 resolutions (broadcasts) and 250 confirmations (unicasts) a second. Up to 250
  // neighbours are confirmed every second, 10,000 every 40 s.
  static constexpr std::chrono::milliseconds tick{20};
  static constexpr int urgent_per_tick = 50;
  static constexpr int routine_per_tick = 5;

  /// Where an item stands; kept by the item's owner, who passes it back.
  struct Place {
    std::optional<Time> due;
    bool urgent = false;
    friend bool operator==(const Place&, const Place&) = default;
  };

  void move(Item* item, Place& from, Place to) {
    if (from == to) return;
    if (from.due) queue(from).erase({*from.due, item});
    if (to.due) queue(to).insert({*to.due, item});
    from = to;
  }

  /// When `take` has something to give next.
  [[nodiscard]] std::optional<Time> wake() const {
    std::optional<Time> earliest;
    for (const Queue* q : {&urgent_, &routine_})
      if (!q->empty() && (!earliest || q->begin()->first < *earliest)) earliest = q->begin()->first;
    if (earliest) earliest = std::max(*earliest, last_tick_ + tick);
    return earliest;
  }

  /// Calls `each` for items that are due at `now`, as many as one tick allows. `each` must move the item onwards.
  template <class Each>
  void take(Time now, Each each) {
    last_tick_ = now;
    drain(urgent_, urgent_per_tick, now, each);
    drain(routine_, routine_per_tick, now, each);
  }

 private:
  using Queue = std::set<std::pair<Time, Item*>>;
  Queue& queue(const Place& place) { return place.urgent ? urgent_ : routine_; }

  template <class Each>
  static void drain(Queue& queue, int budget, Time now, Each& each) {
    for (; budget > 0 && !queue.empty() && queue.begin()->first <= now; --budget) each(*queue.begin()->second);
  }

  Queue urgent_;
  Queue routine_;
  Time last_tick_{};
};

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
// Which records and which stretches of rows are in use. What is given back rests for a while before it is given out
// again, so that a packet that was decided on the old record is long gone.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::table {

using Time = std::chrono::steady_clock::time_point;

/// A packet is decided on and sent within microseconds; a CPU that was preempted in between within milliseconds.
inline constexpr std::chrono::milliseconds rest_time{100};

/// Record ids 1..capacity-1.
class IdPool {
 public:
  explicit IdPool(u32 capacity) : used_(capacity, false) {}

  /// Marks an id as in use that was found in adopted tables.
  void reserve(u32 id) { used_[id] = true; }
  /// A free id, or none: either all are in use or the free ones are resting.
  std::optional<u32> take(Time now);
  void give_back(u32 id, Time now) { resting_.push_back({id, now}); }
  /// How many ids can be taken, those that rest included.
  [[nodiscard]] u32 available() const;

 private:
  struct Resting {
    u32 id;
    Time since;
  };
  std::vector<bool> used_;
  std::deque<Resting> resting_;
  u32 next_ = 1;  // ids from here on may never have been given out
};

/// Stretches of rows, powers of two long and aligned to their length.
class RowPool {
 public:
  explicit RowPool(u32 rows);

  void reserve(u32 first, u32 count);
  std::optional<u32> take(u32 count, Time now);
  void give_back(u32 first, u32 count, Time now) { resting_.push_back({first, count, now}); }
  /// Frees what rests, whatever the time; for a copy that plans ahead.
  void wake();
  /// Rows in use, those that rest left out.
  [[nodiscard]] u32 used() const;

 private:
  void release(u32 first, u32 count);

  struct Resting {
    u32 first;
    u32 count;
    Time since;
  };
  std::map<u32, u32> free_;  // first row -> length, neighbours merged
  std::deque<Resting> resting_;
  u32 used_ = 0;
};

}  // namespace weir::table

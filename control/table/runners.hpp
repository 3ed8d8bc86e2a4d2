// SPDX-License-Identifier: Apache-2.0
// Who takes part in the race for a service's rows: each member's walk, its pace, and how many rows it is to hold.
#pragma once

#include <span>
#include <vector>

#include "control/table/race.hpp"

namespace weir::table {

/// One member of the race. Its j-th row is offset + skip * j(j+1)/2: triangular numbers visit every residue of 2^k
/// once, and an odd factor keeps it so.
struct Runner {
  u32 offset;
  u32 skip;
  u32 start;  // 0..Clock::step - 1: drawn too, so that members of one weight do not arrive at the same instant
  u32 value;
  u64 weight;
  u64 pace;   // time per unit of the clock
  u32 rows;   // that it holds
  u32 least;  // that it is to hold: its share of the rows, rounded down
  u32 most;   // that it may hold: `least` or one more
};

/// The clock, by the rows that a member has visited: -ln(1 - j / rows) rows, in units of 1 / step row. Under it a visit
/// to a row has an exponentially distributed time, so that of two members with weights a : b the first one wins
/// a / (a + b) of the rows, and one whose weight changes takes rows from the others, or gives some, and no more.
class Clock {
 public:
  static constexpr u64 step = u64{1} << 8;
  static constexpr u64 never = ~u64{0};

  explicit Clock(u64 rows) {
    at_.reserve(rows + 1);
    u64 now = 0;
    for (u64 left = rows; left > 0; --left) {
      at_.push_back(now);
      now += rows * step / left;
    }
  }
  [[nodiscard]] u64 rows() const { return at_.size(); }
  [[nodiscard]] u64 at(u32 visited) const { return at_[visited]; }

 private:
  std::vector<u64> at_;  // at most 2^20 * ln(2^20) * 2^8 < 2^32
};

/// One unit of the clock of a member of weight 1.
inline constexpr u64 slowest = u64{1} << 31;

/// Where a runner is.
struct Walk {
  u32 runner;
  u32 next;
  u32 visited = 0;
  u64 time;

  Walk(u32 index, const Runner& r) : runner(index), next(r.offset), time(r.start * r.pace) {}
  void advance(const Runner& r, const Clock& clock) {
    next += r.skip * ++visited;
    time = visited < clock.rows() ? (clock.at(visited) + r.start) * r.pace : Clock::never;
  }
};

/// 128 bits that are drawn for a member of a service: alike on every host, whoever else is a member.
struct Lot {
  u64 high;
  u64 low;
};
[[nodiscard]] Lot draw(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                       const model::Endpoint& member);

/// The members with a weight. Their order depends on them alone, not on the caller's.
[[nodiscard]] std::vector<Runner> runners_of(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                                             std::span<const Member> members, u32 rows);

}  // namespace weir::table

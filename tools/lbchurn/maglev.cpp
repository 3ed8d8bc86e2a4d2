// SPDX-License-Identifier: Apache-2.0
#include "tools/lbchurn/maglev.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

#include "control/table/runners.hpp"

namespace weir::lbchurn {
namespace {

/// Walks the rows in a member's own order: the j-th is offset + skip * j(j+1)/2. Triangular numbers visit every residue
/// of 2^k once, and an odd factor keeps it so. The paper's offset + skip * j is for a prime number of rows: with 2^16,
/// skips that agree in their low bits make members collide again and again, and of 400 seeds the worst moved 7.4 % of
/// the rows of others when one of four equal members left (this walk: 0.6 %).
struct Walk {
  u32 next = 0;
  u32 step = 0;
  u32 skip = 1;
  u32 weight = 0;
  u32 value = 0;

  void advance() {
    step += skip;
    next += step;
  }
};

/// Rows that are taken, one bit each: 8 KiB for 65536 rows stay in the first-level cache, the table itself would not.
class Taken {
 public:
  explicit Taken(u32 rows) : bits_((rows + 63) / 64) {}
  [[nodiscard]] bool test(u32 row) const { return ((bits_[row / 64] >> (row % 64)) & 1) != 0; }
  void set(u32 row) { bits_[row / 64] |= u64{1} << (row % 64); }

 private:
  std::vector<u64> bits_;
};

std::vector<Walk> walks_of(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                           std::span<const table::Member> members) {
  struct Keyed {
    table::Lot lot;
    const table::Member* member;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(members.size());
  for (const table::Member& member : members) {
    if (member.weight == 0) continue;
    keyed.push_back({table::draw(seed, protocol, vip, member.endpoint), &member});
  }
  // The order of turns depends on the members alone, not on the caller's.
  std::sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) {
    return std::tuple(b.member->weight, a.lot.high, a.lot.low, a.member->value) <
           std::tuple(a.member->weight, b.lot.high, b.lot.low, b.member->value);
  });
  std::vector<Walk> walks;
  walks.reserve(keyed.size());
  for (const auto& [lot, member] : keyed)
    walks.push_back({static_cast<u32>(lot.low), 0, static_cast<u32>(lot.high) | 1, member->weight, member->value});
  return walks;
}

/// Who takes a row next. In every round each member earns its weight in credit, starting with half a turn's worth, and
/// takes a turn for each `heaviest` of it: the k-th one in round ceil((k - 1/2) * heaviest / weight). The half rounds
/// shares to the nearest row; without it many light members beside a heavy one would get nothing. Members of one weight
/// have their turns in the same rounds, so the queue holds weights, and a round without turns costs nothing.
class Turns {
 public:
  /// `walks` are sorted by weight, heaviest first.
  explicit Turns(std::span<Walk> walks) : heaviest_(walks.front().weight) {
    for (auto first = walks.begin(); first != walks.end();) {
      const auto last = std::find_if(first, walks.end(), [&](const Walk& w) { return w.weight != first->weight; });
      groups_.push_back({{first, last}, first->weight, 0});
      schedule(groups_.size() - 1);
      first = last;
    }
  }

  /// The members whose turn it is, in order.
  std::span<Walk> next() {
    const u64 group = queue_.top() & 0xffffffff;
    queue_.pop();
    schedule(group);
    return groups_[group].walks;
  }

 private:
  struct Group {
    std::span<Walk> walks;
    u64 weight;
    u64 turns;
  };

  void schedule(u64 group) {
    auto& [walks, weight, turns] = groups_[group];
    const u64 round = ((2 * ++turns - 1) * heaviest_ + 2 * weight - 1) / (2 * weight);
    queue_.push(round << 32 | group);  // one word: the order is by round, then by weight
  }

  u64 heaviest_;
  std::vector<Group> groups_;
  std::priority_queue<u64, std::vector<u64>, std::greater<>> queue_;
};

/// Gives `walk` the first row of its order that is free.
void take_turn(Walk& walk, Taken& taken, std::vector<u32>& table) {
  const u32 mask = static_cast<u32>(table.size()) - 1;
  while (taken.test(walk.next & mask)) walk.advance();
  const u32 row = walk.next & mask;
  taken.set(row);
  table[row] = walk.value;
  walk.advance();
}

}  // namespace

std::vector<u32> maglev(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                        std::span<const table::Member> members, u32 rows) {
  std::vector<u32> table(rows, table::no_member);
  std::vector<Walk> walks = walks_of(seed, protocol, vip, members);
  if (walks.empty()) return table;

  Taken taken(rows);
  u32 left = rows;
  for (Turns turns(walks); left > 0;)
    for (Walk& walk : turns.next()) {
      if (left == 0) break;
      take_turn(walk, taken, table);
      --left;
    }
  return table;
}

}  // namespace weir::lbchurn

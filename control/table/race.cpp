// SPDX-License-Identifier: Apache-2.0
#include "control/table/race.hpp"

#include <xxhash.h>

#include <algorithm>
#include <tuple>

namespace weir::table {
namespace {

/// The bytes whose hash is a member's walk: alike on every host, without padding.
struct [[gnu::packed]] Identity {
  model::Seed seed;
  Ip vip;
  u16 vip_port;
  Protocol protocol;
  Ip address;
  u16 port;
};
static_assert(sizeof(Identity) == 16 + 16 + 2 + 1 + 16 + 2);

/// One member of the race. Its j-th row is offset + skip * j(j+1)/2: triangular numbers visit every residue of 2^k
/// once, and an odd factor keeps it so.
struct Runner {
  u32 offset;
  u32 skip;
  u32 start;  // 0..step - 1: drawn as well, so that members of one weight do not arrive at the same instant
  u32 value;
  u64 weight;
  u64 pace;   // time per unit of the clock
  u32 rows;   // that it holds
  u32 least;  // its share of the rows, rounded down
  u32 most;   // and up
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

/// Who has a row since when.
struct Holding {
  u64 since;
  u32 runner;
};

/// Rows with a mark, one bit each: 8 KiB for 65536 rows stay in the first-level cache, the table itself would not.
class Marks {
 public:
  explicit Marks(std::size_t rows) : bits_((rows + 63) / 64) {}
  [[nodiscard]] bool test(u32 row) const { return ((bits_[row / 64] >> (row % 64)) & 1) != 0; }
  void set(u32 row) { bits_[row / 64] |= u64{1} << (row % 64); }
  void clear(u32 row) { bits_[row / 64] &= ~(u64{1} << (row % 64)); }

 private:
  std::vector<u64> bits_;
};

std::vector<Runner> runners_of(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                               std::span<const Member> members, u32 rows) {
  struct Keyed {
    XXH128_hash_t hash;
    const Member* member;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(members.size());
  u64 sum = 0;
  for (const Member& member : members) {
    if (member.weight == 0) continue;
    sum += member.weight;
    const Identity identity{seed, vip.address, vip.port, protocol, member.endpoint.address, member.endpoint.port};
    keyed.push_back({XXH3_128bits(&identity, sizeof identity), &member});
  }
  // Who is first when two are there at once depends on the members alone, not on the caller's order.
  std::sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) {
    return std::tuple(a.hash.high64, a.hash.low64, a.member->weight, a.member->value) <
           std::tuple(b.hash.high64, b.hash.low64, b.member->weight, b.member->value);
  });
  std::vector<Runner> runners;
  runners.reserve(keyed.size());
  for (const auto& [hash, member] : keyed) {
    const u64 pace = slowest / member->weight;
    const u64 share = u64{rows} * member->weight;
    runners.push_back({.offset = static_cast<u32>(hash.low64),
                       .skip = static_cast<u32>(hash.high64) | 1,
                       .start = static_cast<u32>((hash.low64 >> 32) % Clock::step),
                       .value = member->value,
                       .weight = member->weight,
                       .pace = pace,
                       .rows = 0,
                       .least = static_cast<u32>(share / sum),
                       .most = static_cast<u32>((share + sum - 1) / sum)});
  }
  return runners;
}

/// Time in which members of this weight in all take `steps` steps.
u64 time_for(u64 steps, u64 weight) { return std::max<u64>(1, steps * Clock::step * slowest / weight); }

class Race {
 public:
  Race(std::vector<Runner> runners, u32 rows) : clock_(rows), runners_(std::move(runners)), holdings_(rows) {}

  std::vector<u32> run() {
    run_freely();
    // Whoever has more than its share gives up what it reached last; those that have less race for it.
    run_for(surplus(), &Runner::most);
    // A share's last row may be missing where somebody else has one above its own: these offer theirs.
    run_for(latest_of_the_rich(), &Runner::least);
    std::vector<u32> table;
    table.reserve(holdings_.size());
    for (const Holding& holding : holdings_) table.push_back(runners_[holding.runner].value);
    return table;
  }

 private:
  Runner& holder(u32 row) { return runners_[holdings_[row].runner]; }

  /// Visits the rows that `walk` comes to before the time `end`. A walk in registers takes half the time of one in
  /// memory, where each mark that is set might have changed it.
  template <class Visit>
  Walk walk_until(Walk walk, u64 end, Visit visit) const {
    const u32 mask = static_cast<u32>(holdings_.size()) - 1;
    for (const Runner runner = runners_[walk.runner]; walk.time < end; walk.advance(runner, clock_))
      visit(walk, walk.next & mask);
    return walk;
  }

  /// The race without limits. It is run in stretches of time, so that rows taken in earlier ones cost one bit; what
  /// comes out does not depend on their length.
  void run_freely() {
    std::vector<Walk> walks;
    u64 weight = 0;
    for (u32 i = 0; i < runners_.size(); ++i) {
      walks.emplace_back(i, runners_[i]);
      weight += runners_[i].weight;
    }
    std::fill(holdings_.begin(), holdings_.end(), Holding{Clock::never, 0});
    Marks taken(holdings_.size());
    std::vector<u32> reached;
    const u64 stretch = time_for(holdings_.size() / 2, weight);
    for (u64 end = stretch, left = holdings_.size(); left > 0; end += stretch) {
      reached.clear();
      for (Walk& saved : walks)
        saved = walk_until(saved, end, [&](const Walk& walk, u32 row) {
          if (taken.test(row)) return;
          Holding& holding = holdings_[row];
          if (holding.since == Clock::never) reached.push_back(row);
          if (walk.time < holding.since) holding = {walk.time, walk.runner};
        });
      for (const u32 row : reached) {
        taken.set(row);
        ++holder(row).rows;
      }
      left -= reached.size();
    }
  }

  /// The race for `prizes` among the members that hold fewer rows than their `limit`, each until it has that many.
  /// Whoever held a row loses it. In stretches as well: few arrivals are sorted at a time.
  void run_for(const std::vector<u32>& prizes, u32 Runner::*limit) {
    struct Arrival {
      u64 time;
      u32 runner;
      u32 row;
    };
    if (prizes.empty()) return;
    Marks open(holdings_.size());
    for (const u32 row : prizes) open.set(row);
    std::vector<Walk> walks;
    for (u32 i = 0; i < runners_.size(); ++i)
      if (runners_[i].rows < runners_[i].*limit) walks.emplace_back(i, runners_[i]);
    std::vector<Arrival> arrivals;
    u64 end = 0;
    for (u64 left = prizes.size(); left > 0 && !walks.empty();) {
      u64 weight = 0;
      for (const Walk& walk : walks) weight += runners_[walk.runner].weight;
      end += time_for(16384, weight);
      arrivals.clear();
      for (Walk& saved : walks)
        saved = walk_until(saved, end, [&](const Walk& walk, u32 row) {
          if (open.test(row)) arrivals.push_back({walk.time, walk.runner, row});
        });
      std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) {
        return std::tie(a.time, a.runner) < std::tie(b.time, b.runner);
      });
      for (const auto& [time, index, row] : arrivals) {
        Runner& runner = runners_[index];
        if (!open.test(row) || runner.rows >= runner.*limit) continue;
        open.clear(row);
        --holder(row).rows;
        holdings_[row] = {time, index};
        ++runner.rows;
        --left;
      }
      std::erase_if(walks,
                    [&](const Walk& walk) { return runners_[walk.runner].rows >= runners_[walk.runner].*limit; });
    }
  }

  /// Calls `visit` with each runner and the rows that it holds.
  template <class Visit>
  void for_each_holder(Visit visit) {
    std::vector<u32> ends(runners_.size() + 1);
    for (u32 i = 0; i < runners_.size(); ++i) ends[i + 1] = ends[i] + runners_[i].rows;
    std::vector<u32> rows(holdings_.size());
    std::vector<u32> at(ends.begin(), ends.end() - 1);
    for (u32 row = 0; row < holdings_.size(); ++row) rows[at[holdings_[row].runner]++] = row;
    for (u32 i = 0; i < runners_.size(); ++i) visit(runners_[i], std::span(rows).subspan(ends[i], runners_[i].rows));
  }

  /// Whether its holder came to row `a` after it came to row `b`.
  [[nodiscard]] auto later() const {
    return [this](u32 a, u32 b) { return std::tie(holdings_[a].since, a) > std::tie(holdings_[b].since, b); };
  }

  /// The rows that members hold beyond their shares.
  std::vector<u32> surplus() {
    std::vector<u32> found;
    for_each_holder([&](const Runner& runner, std::span<u32> rows) {
      if (runner.rows <= runner.most) return;
      const auto end = rows.begin() + (runner.rows - runner.most);
      std::nth_element(rows.begin(), end - 1, rows.end(), later());
      found.insert(found.end(), rows.begin(), end);
    });
    return found;
  }

  /// The latest row of each member that holds more than it must, if any holds less.
  std::vector<u32> latest_of_the_rich() {
    std::vector<u32> found;
    if (std::none_of(runners_.begin(), runners_.end(), [](const Runner& r) { return r.rows < r.least; })) return found;
    for_each_holder([&](const Runner& runner, std::span<u32> rows) {
      if (runner.rows > runner.least) found.push_back(*std::min_element(rows.begin(), rows.end(), later()));
    });
    return found;
  }

  Clock clock_;
  std::vector<Runner> runners_;
  std::vector<Holding> holdings_;
};

}  // namespace

std::vector<u32> build(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                       std::span<const Member> members, u32 rows) {
  std::vector<Runner> runners = runners_of(seed, protocol, vip, members, rows);
  if (runners.empty()) return std::vector<u32>(rows, no_member);
  return Race(std::move(runners), rows).run();
}

}  // namespace weir::table

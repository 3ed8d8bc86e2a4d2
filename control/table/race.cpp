// SPDX-License-Identifier: Apache-2.0
#include "control/table/race.hpp"

#include <algorithm>
#include <tuple>

#include "control/table/runners.hpp"

namespace weir::table {
namespace {

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

/// Time in which members of this weight in all take `steps` steps.
u64 time_for(u64 steps, u64 weight) {
  return std::max<u64>(1, steps * Clock::step * slowest / std::max<u64>(1, weight));
}

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
  if (runners.empty()) {
    std::vector<u32> table(rows, no_member);
    return table;
  }
  return Race(std::move(runners), rows).run();
}

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbchurn/tables.hpp"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <ctime>

#include "tools/lbchurn/maglev.hpp"

namespace weir::lbchurn {
namespace {

/// Each row ranks the members by a hash and takes the first: moves the fewest rows there are, and does not balance.
std::vector<u32> rendezvous(const model::Seed& seed, Protocol, const model::Endpoint&,
                            std::span<const table::Member> members, u32 rows) {
  u64 key = 0;
  std::memcpy(&key, seed.data(), sizeof key);
  std::vector<u64> identities;
  for (const table::Member& m : members)
    identities.push_back(XXH3_64bits_withSeed(&m.endpoint.address, sizeof m.endpoint.address, key));
  std::vector<u32> table(rows);
  for (u32 row = 0; row < rows; ++row) {
    u64 best = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      u64 hash = (identities[i] ^ row * 0x9e37'79b9'7f4a'7c15ULL) * 0xbf58'476d'1ce4'e5b9ULL;
      hash = (hash ^ hash >> 32) * 0x94d0'49bb'1331'11ebULL;
      if (i != 0 && hash <= best) continue;
      best = hash;
      table[row] = members[i].value;
    }
  }
  return table;
}

/// Row modulo number of members: what a table without consistent hashing costs.
std::vector<u32> modulo(const model::Seed&, Protocol, const model::Endpoint&, std::span<const table::Member> members,
                        u32 rows) {
  std::vector<u32> table(rows);
  for (u32 row = 0; row < rows; ++row) table[row] = members[row % members.size()].value;
  return table;
}

/// CPU time of this thread in ms: other work on the machine does not count.
double cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

using Members = std::vector<table::Member>;
using Table = std::vector<u32>;

struct Moves {
  u64 moved = 0;
  u64 least = 0;
  void add(const Table& before, const Table& after, std::size_t values) {
    std::vector<long long> gained(values);
    for (std::size_t row = 0; row < before.size(); ++row) {
      moved += before[row] != after[row];
      --gained[before[row]];
      ++gained[after[row]];
    }
    for (const long long rows : gained) least += rows > 0 ? static_cast<u64>(rows) : 0;
  }
  [[nodiscard]] double ratio() const {
    return least == 0 ? static_cast<double>(moved) : static_cast<double>(moved) / static_cast<double>(least);
  }
};

class Measurement {
 public:
  Measurement(const Algorithm& algorithm, const TableStudy& wanted, u32 members, u32 rows)
      : algorithm_(algorithm), wanted_(wanted), members_(members), rows_(rows) {}

  TableFigures run() {
    for (u32 trial = 0; trial < wanted_.trials; ++trial) run_once(trial);
    std::nth_element(times_.begin(), times_.begin() + static_cast<long>(times_.size() / 2), times_.end());
    return {
        algorithm_.name,          members_, rows_, load_, {removing_.ratio(), adding_.ratio(), reweighting_.ratio()},
        times_[times_.size() / 2]};
  }

 private:
  Members people(u32 count) const {
    Members list;
    for (u32 i = 0; i < count; ++i)
      list.push_back({{ip_from_v4(to_be(u32{0x0a000001} + i)), 80}, model::default_weight, i});
    return list;
  }

  void run_once(u32 trial) {
    model::Seed seed{};
    const u64 keys[2] = {wanted_.seed, trial};
    std::memcpy(seed.data(), keys, sizeof keys);
    const Members list = people(members_);
    const Table before = build(seed, list);
    const std::size_t changed = (trial * 37U + 11U) % members_;
    std::vector<u64> held(members_);
    for (const u32 value : before) ++held[value];
    load_ = std::max(load_, static_cast<double>(*std::max_element(held.begin(), held.end())) * members_ / rows_);

    Members fewer = list;
    fewer.erase(fewer.begin() + static_cast<long>(changed));
    if (!fewer.empty()) removing_.add(before, build(seed, fewer), members_);
    adding_.add(before, build(seed, people(members_ + 1)), members_ + 1);
    Members lighter = list;
    lighter[changed].weight /= 2;
    reweighting_.add(before, build(seed, lighter), members_);
  }

  Table build(const model::Seed& seed, const Members& list) {
    const double start = cpu_time();
    Table table = algorithm_.build(seed, Protocol::tcp, {ip_from_v4(to_be(u32{0xcb00710a})), 80}, list, rows_);
    times_.push_back(cpu_time() - start);
    return table;
  }

  const Algorithm& algorithm_;
  const TableStudy& wanted_;
  u32 members_;
  u32 rows_;
  double load_ = 0;
  Moves removing_, adding_, reweighting_;
  std::vector<double> times_;
};

}  // namespace

const std::vector<Algorithm>& algorithms() {
  static const std::vector<Algorithm> all{
      {"race", "what lbd builds: rows go to the first to come, then shares are made exact", table::build},
      {"maglev", "members take turns at the free rows of their own orders", maglev},
      {"rendezvous", "each row takes the member with the greatest hash; ignores weights", rendezvous},
      {"modulo", "no consistent hashing; ignores weights", modulo},
  };
  return all;
}

Result<std::vector<TableFigures>> study(const TableStudy& wanted) {
  std::vector<TableFigures> figures;
  if (wanted.trials == 0) return fail(Fault::invalid, "--trials 0: there is nothing to measure; give 1 or more");
  for (const u32 rows : wanted.rows) {
    if (!std::has_single_bit(rows) || rows < 256 || rows > 1U << 20)
      return fail(Fault::invalid, "--rows {}: a table has 2^8 to 2^20 rows, a power of two", rows);
    for (const u32 members : wanted.members) {
      if (members < 2) return fail(Fault::invalid, "--members {}: give 2 or more, one is removed", members);
      for (const std::string& name : wanted.algorithms) {
        const auto found = std::find_if(algorithms().begin(), algorithms().end(),
                                        [&name](const Algorithm& a) { return a.name == name; });
        if (found == algorithms().end())
          return fail(Fault::invalid, "--algorithm {}: unknown; see lbchurn table --help", name);
        figures.push_back(Measurement(*found, wanted, members, rows).run());
      }
    }
  }
  return figures;
}

}  // namespace weir::lbchurn

// SPDX-License-Identifier: Apache-2.0
// What a pass over the flow table costs: sweep [ENTRIES [PASSES]]. Pinned to one CPU; prints milliseconds of CPU time
// per pass, and per million entries.
#include "control/flows/sweep.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "control/table/records.hpp"
#include "control/table/row_change.hpp"
#include "dataplane/core/recall.hpp"

namespace {

using namespace weir;

constexpr u32 rows = 65536;
constexpr u32 backends = 100;

double thread_milliseconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

struct Case {
  const char* name;
  bool v6;
  bool unsettled;  // else a service that remembers every flow, with settled rows
};

/// A service with `entries` remembered flows; some rows hold a stranger.
class Table {
 public:
  Table(const Case& c, u32 entries)
      : tables_(sizes_for(16, backends, rows)), flows_(flow_sizes_for(entries, entries / 16)), unsettled_(17) {
    TableMemory& memory = tables_.memory();
    initialise(memory, table::flow_keys({3, 1, 4, 1, 5, 9, 2, 6}));
    Service& service = memory.services[1];
    service.table = table_word(0, 16, HashOn::five_tuple, 0, !c.unsettled);
    service.vip = c.v6 ? Ip{{0x0120, 2, 3, 4}} : ip_from_v4({0x0a71'00cb});
    service.protocol = Protocol::tcp;
    service.in_use = 1;
    service.timeouts = timeouts_word(ticks_of_seconds(3 * 3600), ticks_of_seconds(60));
    for (u32 id = 1; id <= backends; ++id) memory.backends[id].in_use = 1;
    std::mt19937_64 random(1);
    for (u32 i = 0; i < rows; ++i) {
      const u32 owner = 1 + static_cast<u32>(random() % backends);
      memory.rows[i] = c.unsettled ? table::moving_row(owner, 1 + owner % backends) : settled_row(owner);
    }
    unsettled_[1] = c.unsettled;
    const auto plant = [&](FlowEntry& entry, FlowKind kind) {
      const u64 bits = random();
      const Ip source = c.v6 ? Ip{{0x0120, static_cast<u32>(bits), 7, static_cast<u32>(bits >> 32)}}
                             : ip_from_v4({static_cast<u32>(bits)});
      entry.key = {{u64{source.word[0]} | u64{source.word[1]} << 32, u64{source.word[2]} | u64{source.word[3]} << 32,
                    (bits & 0xffff) | 0x5000'0000ULL | u64{1} << 32}};
      entry.word = flow_word(1 + static_cast<u32>(random() % backends), kind, 0, now - static_cast<u32>(bits % 1000));
    };
    u32 left = entries;
    for (FlowBucket& bucket : flows_.memory().flows)
      for (FlowEntry& entry : bucket.entry)
        if (left > 0) {
          --left;
          plant(entry, FlowKind::live);
        }
  }
  double pass() {
    const double start = thread_milliseconds();
    found_ = flows::sweep(flows_.memory(), tables_.memory(), now, unsettled_);
    return thread_milliseconds() - start;
  }
  [[nodiscard]] u64 entries() const { return found_.entries; }

 private:
  static constexpr u32 now = 1'000'000;
  OwnedTables tables_;
  OwnedFlows flows_;
  flows::Unsettled unsettled_;
  flows::Survey found_;
};

void report(const Case& c, u32 entries, u32 passes) {
  Table table(c, entries);
  std::vector<double> took;
  table.pass();  // warms up
  for (u32 i = 0; i < passes; ++i) took.push_back(table.pass());
  std::sort(took.begin(), took.end());
  const double median = took[took.size() / 2];
  fmt::print("{:<40} {:>9} {:>9.2f} {:>12.2f}   [{:.2f} .. {:.2f}]\n", c.name, table.entries(), median,
             median * 1e6 / entries, took.front(), took.back());
}

}  // namespace

int main(int argc, char** argv) {
  const u32 entries = argc > 1 ? static_cast<u32>(std::atoi(argv[1])) : 1 << 20;
  const u32 passes = argc > 2 ? static_cast<u32>(std::atoi(argv[2])) : 21;
  if (entries == 0 || passes == 0) {
    fmt::print(stderr, "usage: sweep [ENTRIES [PASSES]]\n");
    return 2;
  }
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(1 % static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))), &cpu);
  sched_setaffinity(0, sizeof cpu, &cpu);
  fmt::print("{:<40} {:>9} {:>9} {:>12}   [min .. max], median of {}\n", "sweep", "entries", "ms", "ms/million",
             passes);
  for (const Case& c :
       {Case{"ipv4, rows moving: each flow's row", false, true}, Case{"ipv6, rows moving: each flow's row", true, true},
        Case{"ipv4, every flow tracked, rows settled", false, false}})
    report(c, entries, passes);
  return 0;
}

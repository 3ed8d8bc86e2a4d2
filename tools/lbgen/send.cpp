// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/send.hpp"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "bpf/generate.hpp"
#include "tools/lbgen/plan.hpp"
#include "tools/lbgen/stop.hpp"

namespace weir::lbgen {
namespace {

using Clock = std::chrono::steady_clock;

// A call of the kernel costs about 15 us: at a rate, one per 250 us keeps that below a tenth of a core, and what is due
// meanwhile goes out in one piece.
constexpr double tick = 250e-6;
// How long one call may keep a signal or the end waiting.
constexpr double longest_call = 30e-3;
constexpr double longest_sleep = 100e-3;
// How late what was due before the end may still go out: a sleeper is woken late on a busy machine.
constexpr double grace = 50e-3;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Worker {
 public:
  Worker(std::unique_ptr<bpf::Generator> generator, u32 ifindex, double seconds, u64 limit, double rate)
      : generator_(std::move(generator)), ifindex_(ifindex), seconds_(seconds), limit_(limit), rate_(rate) {}

  /// Blocks until a bound is reached. `rate_` 0: as fast as possible.
  void run(Clock::time_point start) {
    prctl(PR_SET_TIMERSLACK, 1000);
    while (sent_ < limit_ && stopped_by() == 0) {
      const double now = since(start);
      if (now >= seconds_ && (rate_ == 0 || now >= seconds_ + grace)) break;
      const u64 due = rate_ == 0 ? limit_ : std::min(limit_, due_at(std::min(now, seconds_)));
      if (due <= sent_) {
        if (now >= seconds_) break;
        const double next = std::max(static_cast<double>(sent_) / rate_ - now, tick);
        std::this_thread::sleep_for(std::chrono::duration<double>(std::min(next, longest_sleep)));
        continue;
      }
      if (!call(std::min(due - sent_, chunk_))) return;
    }
  }

  [[nodiscard]] bpf::GenerateProgress progress() const { return generator_->progress(); }
  [[nodiscard]] bool full() const { return sent_ >= limit_; }
  [[nodiscard]] const Result<>& outcome() const { return outcome_; }

 private:
  /// Frames whose time has come: number n at n / rate.
  [[nodiscard]] u64 due_at(double now) const {
    return now >= seconds_ ? static_cast<u64>(std::ceil(seconds_ * rate_ - 1e-6))
                           : static_cast<u64>(std::floor(now * rate_)) + 1;
  }

  bool call(u64 frames) {
    const auto before = Clock::now();
    if (auto done = generator_->run(static_cast<u32>(frames), ifindex_); !done) {
      outcome_ = fail(Fault::internal, "{}", done.error());
      return false;
    }
    const double took = since(before);
    const auto now = generator_->progress();
    if (now.broken != 0) {
      outcome_ = fail(Fault::internal, "the program could not write {} frames: a defect in lbgen", now.broken);
      return false;
    }
    const u64 sum = now.sent[0] + now.sent[1] + now.sent[2] + now.sent[3];
    const double each = took / static_cast<double>(std::max<u64>(sum - sent_, 1));
    chunk_ = static_cast<u64>(std::clamp(longest_call / each, 64.0, 4e6));
    sent_ = sum;
    return true;
  }

  std::unique_ptr<bpf::Generator> generator_;
  u32 ifindex_;
  double seconds_;
  u64 limit_;
  double rate_;
  u64 sent_ = 0;
  u64 chunk_ = 4096;
  Result<> outcome_;
};

/// CPUs that this process may run on.
std::vector<int> cpus_allowed() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

Ended reason(const std::vector<std::unique_ptr<Worker>>& workers) {
  if (stopped_by() != 0) return Ended::signal;
  for (const auto& worker : workers)
    if (!worker->full()) return Ended::seconds;
  return Ended::packets;
}

}  // namespace

Result<Sent> send(const bpf::GenerateState& plan, const Bounds& bounds, u32 ifindex, u32 count) {
  constexpr u64 endless = ~u64{0};
  std::vector<std::unique_ptr<Worker>> workers;
  for (u32 i = 0; i < count; ++i) {
    auto generator = bpf::Generator::load(share(plan, i, count));
    if (!generator) return fail(Fault::internal, "{}", generator.error());
    const u64 limit = bounds.packets ? *bounds.packets / count + (i < *bounds.packets % count) : endless;
    workers.push_back(std::make_unique<Worker>(std::move(*generator), ifindex, bounds.seconds, limit,
                                               static_cast<double>(bounds.rate.value_or(0)) / count));
  }
  const auto start = Clock::now();
  // Each stays on a CPU of its own. A veth's queue is emptied on the CPU that has filled it: a sender that the
  // scheduler moves meanwhile would go on filling it from elsewhere, and lose what finds no room.
  std::vector<int> cpus = cpus_allowed();
  const auto here = std::find(cpus.begin(), cpus.end(), sched_getcpu());
  std::rotate(cpus.begin(), here == cpus.end() ? cpus.begin() : here, cpus.end());
  {
    std::vector<std::jthread> threads;
    for (u32 i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        if (!cpus.empty()) stay_on(cpus[i % cpus.size()]);
        workers[i]->run(start);
      });
  }
  Sent sent{.seconds = since(start), .ended = reason(workers)};
  for (const auto& worker : workers) {
    if (!worker->outcome()) return tl::unexpected(worker->outcome().error());
    for (u32 kind = 0; kind < bpf::generate_kinds; ++kind) sent.packets[kind] += worker->progress().sent[kind];
  }
  return sent;
}

}  // namespace weir::lbgen

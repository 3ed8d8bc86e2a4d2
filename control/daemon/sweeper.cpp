// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/sweeper.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <ctime>
#include <utility>

namespace weir::daemon {
namespace {

constexpr u32 buckets_per_slice = 8192;  // 1 MiB: well below a millisecond
constexpr int duty = 200;                // one part in so many of a core
constexpr auto pace_waiting = std::chrono::milliseconds(250);
constexpr auto pace_idle = std::chrono::seconds(1);

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Span rest_after(Span cpu, bool waiting) { return std::max<Span>(waiting ? pace_waiting : pace_idle, duty * cpu); }

Sweeper::Sweeper(boost::asio::io_context& loop, FlowMemory& flows, const TableMemory& tables, Duties duties)
    : loop_(loop), flows_(flows), tables_(tables), duties_(std::move(duties)), timer_(loop) {}

void Sweeper::start() { wake_at(Clock::now()); }

void Sweeper::hurry() {
  hurried_ = true;
  if (!pass_) wake_at(std::max(Clock::now(), earliest_));
}

void Sweeper::ask(std::function<void()> then) {
  asked_.push_back(std::move(then));
  if (!pass_) wake_at(Clock::now());
}

void Sweeper::wake_at(Clock::time_point when) {
  timer_.expires_at(when);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) wake();
  });
}

void Sweeper::wake() {
  if (pass_) return;
  hurried_ = false;
  if (asked_.empty() && !duties_.needed()) return wake_at(Clock::now() + pace_idle);
  const auto began = cpu_time();
  asked_now_.swap(asked_);
  pass_.emplace(flows_, tables_, present_tick(), duties_.begin());
  cpu_ = cpu_time() - began;
  slice();
}

void Sweeper::slice() {
  const auto began = cpu_time();
  const bool complete_now = pass_->step(buckets_per_slice);
  cpu_ += cpu_time() - began;
  if (complete_now) return complete();
  boost::asio::post(loop_, [this] { slice(); });
}

void Sweeper::complete() {
  const auto began = cpu_time();
  last_ = pass_->take();
  pass_.reset();
  const bool waiting = duties_.end(last_);
  cpu_ += cpu_time() - began;
  const auto now = Clock::now();
  earliest_ = now + duty * cpu_;
  wake_at(!asked_.empty() ? now : hurried_ ? earliest_ : now + rest_after(cpu_, waiting));
  for (const auto& then : std::exchange(asked_now_, {})) then();
}

}  // namespace weir::daemon

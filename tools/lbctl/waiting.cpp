// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/waiting.hpp"

#include <algorithm>
#include <thread>

namespace weir::lbctl {

namespace {

using namespace std::chrono_literals;

constexpr auto between_questions = 250ms;
constexpr std::chrono::milliseconds shortest_question = 250ms;
constexpr std::chrono::milliseconds longest_question = 5s;  // lbd has been killed, or is busy: ask anew
constexpr auto old_news = 2s;

constexpr unsigned not_found = 404;
constexpr unsigned too_many_connections = 503;

}  // namespace

Outcome<std::string> Waiting::run() {
  Outcome<std::string> end = ask();
  progress_.clear();
  return end;
}

Outcome<std::string> Waiting::ask() {
  for (;;) {
    const Outcome<nlohmann::json> answer = hurried().get(target_);
    if (answer) {
      lbd_is_there();
      away_ = false;
      if (End end = look(*answer)) return std::move(*end);
    } else if (answer.error().status == not_found) {
      return gone(answer.error());
    } else if (!bears(answer.error())) {
      return tl::unexpected(answer.error());
    }
    const auto now = Clock::now();
    if (now >= limit_) return tl::unexpected(too_late());
    std::this_thread::sleep_until(std::min(now + between_questions, limit_));
  }
}

std::string Waiting::hearsay() const {
  if (!heard_ || Clock::now() - *heard_ < old_news) return "";
  return fmt::format(", when lbd last answered, {:.0f} s ago",
                     std::chrono::duration<double>(Clock::now() - *heard_).count());
}

// One question lasts no longer than there is time left.
Client Waiting::hurried() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit_ - Clock::now());
  return lbd_.within(std::clamp(left, shortest_question, longest_question));
}

bool Waiting::bears(const Failure& failure) {
  const bool silent = failure.exit == Exit::timed_out;
  const bool away = failure.exit == Exit::unreachable;
  if (!silent && !away && failure.status != too_many_connections) return false;
  if (away && !heard_) return false;
  if (limit_ == never && Clock::now() - heard_.value_or(began_) >= lbd_.timeout()) return false;
  if (!away_) progress_.note(fmt::format("{}; asking again", failure.message));
  away_ = true;
  return true;
}

}  // namespace weir::lbctl

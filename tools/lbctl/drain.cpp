// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/drain.hpp"

#include <cstdio>
#include <thread>

#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_questions{250};
constexpr std::chrono::seconds between_lines{10};  // while nothing changes
constexpr std::chrono::seconds lbd_may_be_away{30};

std::string flows(unsigned long long count) { return fmt::format("{} {}", count, count == 1 ? "flow" : "flows"); }

/// What makes the number worth something: how long the drain has watched, and when an old flow was last heard of.
std::string evidence(const json& drain) {
  std::string out = fmt::format("watched {:.0f}s", drain.value("watched_seconds", 0.0));
  if (const auto last = drain.find("last_packet_seconds"); last != drain.end() && last->is_number())
    out += fmt::format(", last packet of an old flow {:.0f}s ago", last->get<double>());
  else
    out += ", no packet of an old flow seen";
  return out;
}

std::string progress_line(const std::string& object, const json& drain) {
  std::string out = fmt::format("{}: {} {}, {}", object, flows(drain.value("remaining", 0ULL)),
                                drain.value("remaining", 0ULL) == 1 ? "remains" : "remain", evidence(drain));
  if (const auto left = drain.find("deadline_seconds_left"); left != drain.end() && left->is_number())
    out += fmt::format(", deadline in {:.0f}s", left->get<double>());
  return out + '\n';
}

std::string drained_text(const std::string& object, const json& drain) {
  std::string out = fmt::format("{}: drained, {}\n", object, evidence(drain));
  if (!drain.value("complete", false))
    out += "flows that were silent since the drain began are not in the count; with track \"all\" every one is\n";
  return out;
}

Outcome<std::string> at_deadline(const std::string& object, const json& drain) {
  const auto reset = drain.value("reset", 0ULL);
  const auto remaining = drain.value("remaining", 0ULL);
  if (reset > 0) return fail(Exit::timed_out, "{}: the deadline has come, {} reset", object, flows(reset));
  return fail(Exit::timed_out, "{}: the deadline has come, {} left", object, flows(remaining));
}

void say(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);  // somebody is watching; main() reports an output that cannot be written
}

}  // namespace

Outcome<std::string> wait_drained(const Client& lbd, const std::string& object,
                                  std::optional<std::chrono::seconds> patience) {
  const auto began = Clock::now();
  auto last_heard = began;
  auto last_said = Clock::time_point::min();
  std::optional<unsigned long long> said;
  bool was_under_way = false;
  for (;; std::this_thread::sleep_for(between_questions)) {
    const auto now = Clock::now();
    const auto answer = lbd.get(backend_path(object) + "/drain");
    if (!answer) {
      const bool away = answer.error().exit == Exit::unreachable && said && now - last_heard < lbd_may_be_away;
      if (!away) return tl::unexpected(answer.error());
      continue;
    }
    last_heard = now;
    const std::string state = answer->at("state").get<std::string>();
    if (state == "drained") return drained_text(object, *answer);
    if (state == "deadline") return at_deadline(object, *answer);
    if (state == "none")
      return fail(Exit::failed, "{} {}", object,
                  was_under_way ? "is no longer being drained" : "is not being drained; `lbctl backend drain` does it");
    was_under_way = true;
    const auto remaining = answer->value("remaining", 0ULL);
    if (said != remaining || now - last_said >= between_lines) {
      say(progress_line(object, *answer));
      said = remaining;
      last_said = now;
    }
    if (patience && now - began >= *patience)
      return fail(Exit::timed_out, "{}: not drained within {} s, {} left", object, patience->count(), flows(remaining));
  }
}

}  // namespace weir::lbctl

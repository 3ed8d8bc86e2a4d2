// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/drain.hpp"

#include <algorithm>

#include "tools/lbctl/farewell.hpp"
#include "tools/lbctl/verbs.hpp"
#include "tools/lbctl/waiting.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;
using Clock = Waiting::Clock;

constexpr std::chrono::seconds removal_takes{5};  // at most, once a backend is drained

std::string flows(unsigned long long count) { return fmt::format("{} {}", count, count == 1 ? "flow" : "flows"); }

std::string remaining_text(const json& drain) {
  if (!drain.value("counted", true)) return "flows are being counted";
  const auto remaining = drain.value("remaining", 0ULL);
  return fmt::format("{} {}", flows(remaining), remaining == 1 ? "remains" : "remain");
}

/// What makes the number worth something: how long the drain has watched, and when an old flow was last heard of.
std::string evidence(const json& drain) {
  std::string out = fmt::format("watched {:.0f}s", drain.value("watched_seconds", 0.0));
  if (const auto last = drain.find("last_packet_seconds"); last != drain.end() && last->is_number())
    out += fmt::format(", last packet of an old flow {:.0f}s ago", last->get<double>());
  else
    out += ", no packet of an old flow seen";
  return out;
}

std::optional<double> deadline_left(const json& drain) {
  const auto left = drain.find("deadline_seconds_left");
  return left != drain.end() && left->is_number() ? std::optional(left->get<double>()) : std::nullopt;
}

std::string progress_line(const std::string& object, const json& drain) {
  std::string out = fmt::format("{}: {}", object, remaining_text(drain));
  if (drain.value("counted", true)) out += ", " + evidence(drain);
  if (const auto left = deadline_left(drain)) out += fmt::format(", deadline in {:.0f}s", *left);
  return out;
}

std::string drained_text(const std::string& object, const json& drain) {
  std::string out = fmt::format("{}: drained, {}, {}\n", object, remaining_text(drain), evidence(drain));
  if (!drain.value("complete", false))
    out +=
        "flows that were silent since the drain began are not in the count; with track \"all\" for longer than "
        "idle every one is\n";
  return out;
}

Failure at_deadline(const std::string& object, const json& drain) {
  const auto reset = drain.value("reset", 0ULL);
  const auto remaining = drain.value("remaining", 0ULL);
  std::string message = fmt::format("{}: the deadline has come, ", object);
  if (reset > 0)
    message += flows(reset) + " reset";
  else if (remaining > 0)
    message += flows(remaining) + " left";
  else
    message += fmt::format("0 flows left, but watched for {:.0f}s of {}s only", drain.value("watched_seconds", 0.0),
                           drain.value("watch_seconds", 0ULL));
  return {Exit::timed_out, message};
}

/// `when` + `span`, or never.
template <class Span>
Clock::time_point after(Clock::time_point when, const std::optional<Span>& span) {
  return span ? when + std::chrono::duration_cast<Clock::duration>(*span) : Waiting::never;
}

class Drained : public Waiting {
 public:
  Drained(const Client& lbd, const DrainWait& wait)
      : Waiting(lbd, backend_path(wait.object) + "/drain"),
        wait_(wait),
        patience_ends_(after(Clock::now(), wait.patience)) {
    if (wait.order) {
      lbd_is_there();
      meet(after(wait.order->began, wait.order->deadline));
    } else {
      meet(never);
    }
  }
  /// Until when the backend may be there, once it is drained.
  [[nodiscard]] Clock::time_point removal_by() const {
    return std::min(Clock::now() + removal_takes, deadline_ == never ? never : deadline_ + after_deadline);
  }
  [[nodiscard]] bool removed() const { return removed_; }

 private:
  void meet(Clock::time_point deadline) {
    deadline_ = deadline;
    // Flows that are to be reset are so by lbd's next pass over the flow table.
    const auto grace = wait_.order && wait_.order->force_after ? after_reset : after_deadline;
    limit(std::min(patience_ends_, deadline == never ? never : deadline + grace));
  }

  // As lbd has it, which others may have told to begin anew. One that has passed does not come again each time.
  void heed(std::optional<double> left) {
    const auto deadline =
        after(Clock::now(), left ? std::optional(std::chrono::duration<double>(*left)) : std::nullopt);
    meet(left && *left <= 0 ? std::min(deadline_, deadline) : deadline);
  }

  End look(const json& drain) override {
    const std::string state = drain.at("state").get<std::string>();
    const bool under_way = wait_.order || remaining_;
    if (state == "drained") return drained_text(wait_.object, drain);
    if (state == "deadline") return tl::unexpected(at_deadline(wait_.object, drain));
    if (state == "none")
      return fail(Exit::failed, "{} {}", wait_.object,
                  under_way ? "is no longer being drained" : "is not being drained; `lbctl backend drain` does it");
    heed(deadline_left(drain));
    if (drain.value("counted", true)) remaining_ = drain.value("remaining", 0ULL);
    show(remaining_text(drain), progress_line(wait_.object, drain));
    return std::nullopt;
  }

  // lbd tells for a while how the drain of a backend ended that it has removed; after a restart it does not know. It
  // removes none whose flows are left, but for those that it has reset: then somebody else has.
  Outcome<std::string> gone(const Failure& not_found) override {
    if (!wait_.order && !remaining_) return tl::unexpected(not_found);
    if (!wait_.order || !wait_.order->then_remove || (!remaining_ && Clock::now() < deadline_))
      return fail(Exit::failed, "{} is gone, and lbd does not know how its drain ended", wait_.object);
    if (wait_.order->force_after && Clock::now() >= deadline_)
      return fail(Exit::timed_out, "{}: removed at the deadline; lbd does not know how many flows it has reset",
                  wait_.object);
    if (remaining_.value_or(0) != 0)
      return fail(Exit::failed, "{} has been removed before it was drained: {} remained when lbd last counted",
                  wait_.object, flows(*remaining_));
    removed_ = true;
    return wait_.object + ": removed\n";
  }

  [[nodiscard]] Failure too_late() const override {
    const std::string what = Clock::now() >= deadline_
                                 ? "the deadline has come"
                                 : fmt::format("not drained within {} s", wait_.patience->count());
    if (!remaining_)
      return {Exit::timed_out, fmt::format("{}: {}; lbd has not said how many flows are left", wait_.object, what)};
    return {Exit::timed_out, fmt::format("{}: {}, {} left{}", wait_.object, what, flows(*remaining_), hearsay())};
  }

  const DrainWait& wait_;
  Clock::time_point patience_ends_;
  Clock::time_point deadline_ = never;
  std::optional<unsigned long long> remaining_;  // as lbd last said
  bool removed_ = false;
};

class Removed : public Waiting {
 public:
  Removed(const Client& lbd, const std::string& object, Clock::time_point until, std::string late)
      : Waiting(lbd, service_path(object.substr(0, object.find('/')))), object_(object), late_(std::move(late)) {
    limit(until);
  }

 private:
  End look(const json& service) override {
    for (const json& backend : service.value("backends", json::array()))
      if (cell(backend, "name") == object_.substr(object_.find('/') + 1)) {
        show(cell(backend, "admin"), fmt::format("{}: is there, {}", object_, cell(backend, "admin")));
        return std::nullopt;
      }
    return object_ + ": removed\n";
  }
  Outcome<std::string> gone(const Failure& not_found) override {
    if (!is_known()) return tl::unexpected(not_found);  // nor was it there before: a misspelt name
    return object_ + ": removed\n";
  }
  [[nodiscard]] Failure too_late() const override { return {Exit::timed_out, object_ + ": " + late_}; }

  const std::string& object_;
  std::string late_;
};

}  // namespace

Outcome<std::string> wait_drained(const Client& lbd, const DrainWait& wait) {
  leave_with(fmt::format("no longer waiting; the drain of {0} goes on, `lbctl backend undrain {0}` takes it back",
                         wait.object));
  Drained drained(lbd, wait);
  Outcome<std::string> ended = drained.run();
  const bool removal_follows = ended && wait.order && wait.order->then_remove && !drained.removed();
  if (!removal_follows) return ended;
  Removed removal(lbd, wait.object, drained.removal_by(), "drained, but not removed yet; lbd goes on trying");
  removal.lbd_is_there();
  Outcome<std::string> removed = removal.run();
  if (!removed) return tl::unexpected(Failure{removed.error().exit, removed.error().message, *ended});
  return *ended + *removed;
}

Outcome<std::string> wait_removed(const Client& lbd, const std::string& object,
                                  std::optional<std::chrono::seconds> patience) {
  leave_with("no longer waiting for the removal of " + object);
  return Removed(lbd, object, after(Clock::now(), patience),
                 fmt::format("not removed within {} s", patience.value_or(std::chrono::seconds{}).count()))
      .run();
}

}  // namespace weir::lbctl

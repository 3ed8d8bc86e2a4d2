// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/drains.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace weir;
using daemon::Draining;
using daemon::Drains;
using daemon::DrainState;
using daemon::Moment;

constexpr u64 noon = 1'700'000'000;  // Unix time when the drains below begin
const Drains::Name b1{"web", "b1"};

/// So many seconds after the drain began; the steady clock has its own origin.
Moment after(double seconds) { return {5000 + seconds, static_cast<double>(noon) + seconds}; }

model::Drain terms(u32 deadline = 0, bool then_remove = false, bool force_after = false) {
  return {.started = noon, .deadline = deadline, .then_remove = then_remove, .force_after = force_after, .watch = 5};
}

/// One drain, and what each sweep finds.
struct Bed {
  Drains drains{};
  model::Drain drain{};
  bool witnessed = true;
  double began = after(0).steady;

  Drains::Actions sweep(double at, u64 remaining, bool complete = false) {
    return drains.step(after(at), {{.service = "web",
                                    .backend = "b1",
                                    .drain = drain,
                                    .began = witnessed ? std::optional<double>(began) : std::nullopt,
                                    .remaining = remaining,
                                    .complete = complete,
                                    .rows_open = 7,
                                    .last_packet = std::nullopt}});
  }
  [[nodiscard]] daemon::Progress progress(double at) const { return drains.progress(after(at), "web", "b1", drain); }
  [[nodiscard]] DrainState state(double at) const { return progress(at).state; }
};

bool idle(const Drains::Actions& actions) { return actions.end.empty() && actions.remove.empty(); }

}  // namespace

TEST_CASE("a drain without flows is proven when it has been watched for long enough") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 0);
  CHECK(bed.state(0) == DrainState::watching);
  bed.sweep(4.9, 0);
  CHECK(bed.state(4.9) == DrainState::watching);
  CHECK(bed.state(6) == DrainState::watching);  // time alone proves nothing: a sweep does
  CHECK(bed.sweep(5.1, 0).events.size() == 1);
  CHECK(bed.state(5.1) == DrainState::drained);
  CHECK(bed.sweep(6, 0).events.empty());
}

TEST_CASE("a complete count of none proves a drain at once") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 0, true);
  CHECK(bed.state(0) == DrainState::drained);
  CHECK_FALSE(bed.drains.waiting());
}

TEST_CASE("flows that remain keep a drain watching, however long") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 3, true);
  bed.sweep(100'000, 1, true);
  CHECK(bed.state(100'000) == DrainState::watching);
  CHECK(bed.progress(100'000).remaining == 1);
  CHECK(bed.drains.waiting());
}

TEST_CASE("a flow that wakes takes the proof back") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 0);
  bed.sweep(6, 0);
  REQUIRE(bed.state(6) == DrainState::drained);
  bed.sweep(7, 1);
  CHECK(bed.state(7) == DrainState::watching);
}

TEST_CASE("the proof takes as long as the drain's terms say") {
  Bed bed{.drain = terms()};
  bed.drain.watch = 10;
  bed.sweep(0, 0);
  bed.sweep(6, 0);
  CHECK(bed.state(6) == DrainState::watching);
  CHECK(bed.progress(6).watch == 10);
  bed.sweep(10, 0);
  CHECK(bed.state(10) == DrainState::drained);
}

TEST_CASE("the progress says how long the drain was watched, and what is left of its deadline") {
  Bed bed{.drain = terms(60)};
  bed.sweep(0, 2);
  bed.sweep(20, 2);
  const daemon::Progress p = bed.progress(21.5);
  CHECK(p.watched == Approx(21.5));
  CHECK(p.deadline_left == Approx(38.5));
  CHECK(p.rows_open == 7);
  CHECK_FALSE(Bed{.drain = terms()}.progress(0).deadline_left);
}

TEST_CASE("the age of the last packet outlives the flow that sent it") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 0);
  CHECK_FALSE(bed.progress(1).last_packet);
  Draining found{.service = "web", .backend = "b1", .drain = bed.drain, .remaining = 1, .last_packet = 5003.0};
  bed.drains.step(after(4), {found});
  CHECK(bed.progress(4).last_packet == Approx(1));
  bed.sweep(10, 0);
  CHECK(bed.progress(10).last_packet == Approx(7));
}

TEST_CASE("at its deadline a drain ends no flow and removes nothing without being told to") {
  Bed bed{.drain = terms(60, /*then_remove=*/true)};
  bed.sweep(0, 2);
  CHECK(bed.sweep(59.9, 2).events.empty());
  const Drains::Actions actions = bed.sweep(60.1, 2);
  CHECK(idle(actions));
  CHECK(actions.events.size() == 1);
  CHECK(bed.state(60.1) == DrainState::deadline);
  CHECK_FALSE(bed.drains.waiting());
  // Nor later: the deadline was the word to wait no longer.
  CHECK(idle(bed.sweep(300, 0)));
  CHECK(bed.state(300) == DrainState::drained);
}

TEST_CASE("force-after ends what remains at the deadline, once, and says how many") {
  Bed bed{.drain = terms(60, false, /*force_after=*/true)};
  bed.sweep(0, 5);
  CHECK(idle(bed.sweep(59, 4)));
  CHECK(bed.sweep(60, 3).end == std::vector{b1});
  CHECK(idle(bed.sweep(61, 0)));
  CHECK(idle(bed.sweep(90, 0)));
  CHECK(bed.state(90) == DrainState::deadline);
  CHECK(bed.progress(90).reset == 3);
}

TEST_CASE("force-after ends nothing where nothing remains at the deadline") {
  Bed bed{.drain = terms(60, false, true)};
  bed.sweep(0, 1);
  CHECK(idle(bed.sweep(60, 0)));
  CHECK(bed.state(60) == DrainState::drained);
}

TEST_CASE("then-remove removes once the drain is proven, and asks again until the backend is gone") {
  Bed bed{.drain = terms(0, true)};
  CHECK(idle(bed.sweep(0, 1)));
  CHECK(idle(bed.sweep(4, 0)));
  CHECK(bed.sweep(6, 0).remove == std::vector{b1});
  CHECK(bed.drains.waiting());
  CHECK(bed.sweep(7, 0).remove == std::vector{b1});
}

TEST_CASE("then-remove waits again where a flow wakes before the backend has gone") {
  Bed bed{.drain = terms(0, true)};
  REQUIRE(bed.sweep(6, 0).remove == std::vector{b1});
  CHECK(idle(bed.sweep(7, 1)));
  CHECK(bed.state(7) == DrainState::watching);
  CHECK(bed.sweep(8, 0).remove == std::vector{b1});
}

TEST_CASE("then-remove follows force-after one sweep later") {
  Bed bed{.drain = terms(60, true, true)};
  bed.sweep(0, 2);
  const Drains::Actions forced = bed.sweep(60, 2);
  CHECK(forced.end == std::vector{b1});
  CHECK(forced.remove.empty());
  const Drains::Actions later = bed.sweep(61, 2);
  CHECK(later.end.empty());
  CHECK(later.remove == std::vector{b1});
}

TEST_CASE("a drain that ended with its backend's removal can still be asked for, for a while") {
  Bed bed{.drain = terms(60, true, true)};
  bed.sweep(0, 2);
  bed.sweep(60, 2);
  bed.sweep(61, 0);
  CHECK(bed.drains.removed(after(61.1), b1));  // before the next sweep has missed it
  bed.drains.step(after(62), {});
  const auto end = bed.drains.removed(after(63), b1);
  REQUIRE(end);
  CHECK(end->state == DrainState::deadline);
  CHECK(end->reset == 2);
  CHECK_FALSE(bed.drains.waiting());
  bed.drains.step(after(700), {});
  CHECK_FALSE(bed.drains.removed(after(1000), b1));
}

TEST_CASE("undrain forgets a drain at any time, and what comes after it begins anew") {
  Bed bed{.drain = terms(60, true, true)};
  bed.sweep(0, 2);
  bed.sweep(60, 2);
  bed.drains.step(after(60.5), {});
  CHECK_FALSE(bed.drains.waiting());
  CHECK_FALSE(bed.drains.removed(after(1000), b1));
  bed.drain.started = noon + 100;
  bed.began = after(100).steady;
  CHECK(idle(bed.sweep(100, 2)));
  CHECK(bed.state(100) == DrainState::watching);
  CHECK(bed.progress(100).reset == 0);
  CHECK(bed.progress(130).watched == Approx(30));
}

TEST_CASE("other terms begin anew even where no sweep has seen the backend between them") {
  Bed bed{.drain = terms(60)};
  bed.sweep(0, 2);
  bed.sweep(61, 2);
  REQUIRE(bed.state(61) == DrainState::deadline);
  bed.drain = terms(120);
  bed.drain.started = noon + 62;
  bed.began = after(62).steady;
  CHECK(bed.state(62) == DrainState::watching);  // before any sweep
  CHECK(bed.progress(62).deadline_left == 120.0);
  bed.sweep(62, 2);
  CHECK(bed.progress(62).watched == 0);
}

TEST_CASE("a restart goes on with the drain's age, and doubts the second that its start does not tell") {
  Bed bed{.drain = terms(60, false, true), .witnessed = false};
  CHECK(bed.progress(20).deadline_left == Approx(40));  // before any sweep
  CHECK(idle(bed.sweep(30, 2)));
  CHECK(bed.progress(30).watched == Approx(30));
  CHECK(bed.sweep(60, 2).end == std::vector{b1});
  Bed early{.drain = terms(), .witnessed = false};
  early.sweep(5.5, 0);
  CHECK(early.state(5.5) == DrainState::watching);
  early.sweep(6, 0);
  CHECK(early.state(6) == DrainState::drained);
}

TEST_CASE("a drain whose start was witnessed counts from there, not from the first sweep after it") {
  Drains drains;
  Draining d{.service = "web", .backend = "b1", .drain = terms(60), .began = 5000.25, .remaining = 1};
  drains.step(after(0.75), {d});
  CHECK(drains.progress(after(10), "web", "b1", d.drain).watched == Approx(9.75));
}

TEST_CASE("a deadline that passed while nobody ran is kept at the first sweep") {
  Bed forced{.drain = terms(60, false, true), .witnessed = false};
  CHECK(forced.sweep(500, 2).end == std::vector{b1});
  CHECK(forced.state(500) == DrainState::deadline);
  Bed gentle{.drain = terms(60, true), .witnessed = false};
  CHECK(idle(gentle.sweep(500, 2)));
  CHECK(gentle.state(500) == DrainState::deadline);
}

TEST_CASE("a drain that was proven in time stays so after a restart past its deadline, but removes nothing any more") {
  Bed bed{.drain = terms(60, true), .witnessed = false};
  CHECK(idle(bed.sweep(500, 0)));
  CHECK(bed.state(500) == DrainState::drained);
}

TEST_CASE("a Unix clock that stands before the drain's start makes it neither old nor negative") {
  Bed bed{.drain = terms(60), .witnessed = false};
  bed.drain.started = noon + 3600;
  bed.sweep(0, 1);
  CHECK(bed.progress(0).watched == 0);
  bed.sweep(61, 1);
  CHECK(bed.state(61) == DrainState::deadline);
}

TEST_CASE("a backend that somebody else removes is forgotten without a trace") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 2);
  CHECK(idle(bed.drains.step(after(1), {})));
  CHECK_FALSE(bed.drains.removed(after(1000), b1));
}

TEST_CASE("the document of a drain has every field, and null where there is nothing to say") {
  Bed bed{.drain = terms()};
  bed.sweep(0, 2);
  const daemon::Progress p = bed.progress(1);
  const nlohmann::json told = daemon::drain_json("web", "b1", &p);
  CHECK(told["state"] == "watching");
  CHECK(told["remaining"] == 2);
  CHECK(told["watched_seconds"] == 1.0);
  CHECK(told["watch_seconds"] == 5);
  CHECK(told["last_packet_seconds"].is_null());
  CHECK(told["deadline_seconds_left"].is_null());
  CHECK(told["rows_open"] == 7);
  const nlohmann::json none = daemon::drain_json("web", "b1", nullptr);
  CHECK(none["state"] == "none");
  CHECK(none.size() == told.size());
}

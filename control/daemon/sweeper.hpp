// SPDX-License-Identifier: Apache-2.0
// When the flow table is swept: in slices between the loop's other work, as often as somebody waits for it, and never
// for more than one part in two hundred of a core.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "control/flows/sweep.hpp"

namespace weir::daemon {

/// What is measured and what is waited.
using Span = std::chrono::steady_clock::duration;

/// How long to rest after a pass that took `cpu` of processor time. `waiting`: somebody waits for what the next finds.
[[nodiscard]] Span rest_after(Span cpu, bool waiting);

class Sweeper {
 public:
  struct Duties {
    std::function<bool()> needed;             ///< whether a pass could find anything
    std::function<flows::Unsettled()> begin;  ///< a pass begins: whose rows it is to look at
    /// A pass has ended. Returns whether somebody waits for the next.
    std::function<bool(flows::Survey&)> end;
  };

  /// Both memories outlive this.
  Sweeper(boost::asio::io_context& loop, FlowMemory& flows, const TableMemory& tables, Duties duties);

  /// The first pass comes as soon as the loop runs.
  void start();
  /// Something has changed that the next pass should see: it comes as soon as the duty allows.
  void hurry();
  /// Calls `then` after a pass that begins from here on, without regard to the duty.
  void ask(std::function<void()> then);

  /// The last pass's findings; empty before the first.
  [[nodiscard]] const flows::Survey& last() const { return last_; }

 private:
  using Clock = std::chrono::steady_clock;
  void wake_at(Clock::time_point when);
  void wake();
  void slice();
  void complete();

  boost::asio::io_context& loop_;
  FlowMemory& flows_;
  TableMemory tables_;
  Duties duties_;
  boost::asio::steady_timer timer_;
  std::optional<flows::Sweep> pass_;  // under way
  flows::Survey last_;
  Span cpu_{};                    // of the pass under way, or of the last one
  Clock::time_point earliest_{};  // when the duty allows the next one
  bool hurried_ = false;          // while a pass was under way
  std::vector<std::function<void()>> asked_, asked_now_;
};

}  // namespace weir::daemon

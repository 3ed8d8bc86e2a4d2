// SPDX-License-Identifier: Apache-2.0
// How far each drain is and what is to be done about it: a state machine without clock or socket. What it says follows
// from the drain's terms, its age and the last sweep, so that a restarted daemon comes to the same conclusions.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/model/service.hpp"

namespace weir::daemon {

/// Both clocks at one moment, in seconds: one that never jumps, and Unix time, in which a drain's start is kept.
struct Moment {
  double steady = 0;
  double unix_time = 0;
};

/// watching: flows remain, or it is too early to say that none does. drained: none remains. deadline: it came first.
enum class DrainState { watching, drained, deadline };

/// A draining backend as a sweep has found it.
struct Draining {
  std::string service;
  std::string backend;
  model::Drain drain;
  std::optional<double> began{};        ///< steady clock, where its start was witnessed
  u64 remaining = 0;                    ///< flows that the flow table knows
  bool complete = false;                ///< the backend has no other flows than those
  u32 rows_open = 0;                    ///< rows whose unknown flows are still the backend's
  std::optional<double> last_packet{};  ///< steady clock; nothing where no flow remains
};

struct Progress {
  DrainState state = DrainState::watching;
  bool counted = false;  ///< whether a sweep has looked since the drain began
  u64 remaining = 0;
  bool complete = false;
  double watched = 0;                   ///< seconds since the drain began
  std::optional<double> last_packet;    ///< seconds since the backend's flows have last sent
  std::optional<double> deadline_left;  ///< seconds
  u32 rows_open = 0;
  u64 reset = 0;  ///< flows that were ended at the deadline
  u32 watch = 0;  ///< seconds that prove a drain where the count is not complete
};

/// The API's document of a drain; `progress` is null for a backend that does not drain.
[[nodiscard]] nlohmann::json drain_json(const std::string& service, const std::string& backend,
                                        const Progress* progress);

class Drains {
 public:
  using Name = std::pair<std::string, std::string>;  ///< service, backend

  /// What the daemon is to do.
  struct Actions {
    std::vector<Name> end;            ///< end every flow of the backend: the deadline has come, with force-after
    std::vector<Name> remove;         ///< delete the backend; named again until it is gone
    std::vector<std::string> events;  ///< to be told to the operator
  };

  /// Goes by a sweep that began at `now` and found these backends draining. Whoever is not among them any more is
  /// forgotten, but for those that were to be removed: their end can still be asked for, for ten minutes.
  Actions step(const Moment& now, const std::vector<Draining>& draining);

  /// As of the last step, with ages as of `now`. A drain that no step has seen yet is being watched.
  [[nodiscard]] Progress progress(const Moment& now, const std::string& service, const std::string& backend,
                                  const model::Drain& drain) const;

  /// How the drain of a backend ended that has been removed for it, ages as of `now`.
  [[nodiscard]] std::optional<Progress> removed(const Moment& now, const Name& name) const;

  /// Whether somebody may be waiting for the next sweep.
  [[nodiscard]] bool waiting() const;

 private:
  struct Tracked {
    Draining seen;
    double began = 0;  // steady clock
    double doubt = 0;  // seconds by which it may have begun later
    double swept = 0;  // the same: the last step
    std::optional<double> last_packet;
    bool ended = false;
    bool to_remove = false;
    u64 reset = 0;
    DrainState told = DrainState::watching;
  };
  struct Removed {
    Progress progress;
    double at = 0;
  };
  static DrainState judge(const Tracked& tracked);
  static Progress describe(const Moment& now, const Tracked& tracked);
  void act(Tracked& tracked, Actions& actions) const;
  void forget_absent(const Moment& now, const std::vector<Draining>& draining);

  std::map<Name, Tracked> tracked_;
  std::map<Name, Removed> removed_;
};

}  // namespace weir::daemon

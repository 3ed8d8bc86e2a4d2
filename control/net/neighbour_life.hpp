// SPDX-License-Identifier: Apache-2.0
// One neighbour under watch: what is believed about it and what to ask the kernel next. No clock, no socket.
//
// The kernel confirms a neighbour only when it sends to it itself, and the fast path sends past it. So Weir has each
// neighbour confirmed by unicast about once a second; one that stays silent is looked for by broadcast half a second
// later. A MAC that changed without announcement is thus found within 2 s, and one that is gone within 5 s.
#pragma once

#include <chrono>
#include <optional>

#include "control/net/neighbours.hpp"
#include "control/net/next_hop.hpp"

namespace weir::net {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

class NeighbourLife {
 public:
  /// What to ask the kernel for.
  enum class Ask : u8 { use, probe, renew };

  static constexpr std::chrono::milliseconds confirm_every{1000};
  static constexpr std::chrono::milliseconds probe_patience{500};
  static constexpr std::chrono::milliseconds resolve_patience{5000};  // the kernel gives up after 3 s by default
  static constexpr std::chrono::milliseconds reask_after{250};        // guards against an entry that keeps vanishing
  static constexpr std::chrono::milliseconds first_pause{1000};
  static constexpr std::chrono::milliseconds longest_pause{10000};

  explicit NeighbourLife(Time now) : due_(now), asked_(now - confirm_every) {}

  /// The kernel's entry is now so; absent when there is none.
  void heard(const std::optional<NeighbourEntry>& entry, Time now);
  /// `due()` has come: says what to ask, and expects that it is asked.
  Ask next(Time now);
  /// The kernel refused what `next` said, or did not answer in time.
  void refused(Time now);
  /// Somebody wants to know at once.
  void hurry(Time now);

  /// When `next` wants to be called; nothing for a neighbour that is never asked about.
  [[nodiscard]] std::optional<Time> due() const { return due_; }
  /// Does the caller wait for an answer (true), or is this a routine confirmation that may be put off (false)?
  [[nodiscard]] bool urgent() const { return phase_ != Phase::settled; }

  /// resolved, resolving or failed.
  [[nodiscard]] HopState state() const;
  /// Holds while resolved. A MAC once known holds until the kernel has failed to find the neighbour by broadcast.
  [[nodiscard]] MacBits mac() const { return mac_; }
  /// How often resolution has failed so far: tells a new failure from an old one.
  [[nodiscard]] u32 failures() const { return failures_; }

 private:
  enum class Phase : u8 {
    settled,     // usable, or not asked about yet
    confirming,  // asked by unicast
    resolving,   // asked by broadcast
    failed,      // nobody answered; asked again after a pause that grows
  };

  void heard_usable(const NeighbourEntry& entry, Time now);
  void heard_gone(Time now);
  void heard_incomplete(Time now);
  void fail(Time now);

  Phase phase_ = Phase::settled;
  bool waiting_ = false;  // a broadcast is under way
  MacBits mac_ = 0;
  u32 failures_ = 0;
  std::optional<Time> due_;
  Time asked_;
  std::chrono::milliseconds pause_ = first_pause;
};

}  // namespace weir::net

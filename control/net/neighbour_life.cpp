// SPDX-License-Identifier: Apache-2.0
#include "control/net/neighbour_life.hpp"

#include <linux/neighbour.h>

#include <algorithm>

namespace weir::net {

void NeighbourLife::heard(const std::optional<NeighbourEntry>& entry, Time now) {
  if (entry && entry->usable()) {
    heard_usable(*entry, now);
  } else if (entry && entry->nud == NUD_INCOMPLETE) {
    heard_incomplete(now);
  } else if (entry && entry->nud == NUD_FAILED && (phase_ == Phase::resolving || phase_ == Phase::failed)) {
    fail(now);
  } else {
    // Deleted, not resolved yet, or failed by unicast only: a broadcast may still find it.
    heard_gone(now);
  }
}

void NeighbourLife::heard_usable(const NeighbourEntry& entry, Time now) {
  mac_ = entry.mac;
  waiting_ = false;
  pause_ = first_pause;
  if (entry.fixed() || entry.kept_by_others) {
    phase_ = Phase::settled;
    due_ = std::nullopt;
  } else if (entry.nud == NUD_PROBE) {
    if (phase_ != Phase::confirming) due_ = now + probe_patience;  // begun by the kernel
    phase_ = Phase::confirming;
  } else {
    phase_ = Phase::settled;
    // STALE and DELAY: the MAC is news that nobody has confirmed, such as a gratuitous ARP.
    due_ = entry.nud == NUD_REACHABLE ? now + confirm_every : std::max(now, asked_ + confirm_every);
  }
}

void NeighbourLife::heard_gone(Time now) {
  if (phase_ == Phase::failed) return;  // its pause goes on
  const Time again = std::max(now, asked_ + reask_after);
  due_ = phase_ == Phase::resolving && due_ ? std::max(again, std::min(*due_, asked_ + confirm_every)) : again;
  phase_ = Phase::resolving;
  waiting_ = false;
}

void NeighbourLife::heard_incomplete(Time now) {
  if (phase_ == Phase::failed || phase_ == Phase::resolving) return;
  phase_ = Phase::resolving;
  waiting_ = true;
  asked_ = now;
  due_ = now + resolve_patience;
}

NeighbourLife::Ask NeighbourLife::next(Time now) {
  if (phase_ == Phase::settled && mac_ != 0) {
    phase_ = Phase::confirming;
    asked_ = now;
    due_ = now + probe_patience;
    return Ask::probe;
  }
  const bool silent_to_unicast = phase_ == Phase::confirming;
  if (phase_ == Phase::resolving && waiting_) fail(now);  // the kernel tries longer than Weir waits
  if (phase_ != Phase::failed) phase_ = Phase::resolving;
  waiting_ = true;
  asked_ = now;
  due_ = now + resolve_patience;
  return silent_to_unicast ? Ask::renew : Ask::use;
}

void NeighbourLife::refused(Time now) { fail(now); }

void NeighbourLife::hurry(Time now) {
  if (phase_ == Phase::failed) due_ = now;
}

void NeighbourLife::fail(Time now) {
  phase_ = Phase::failed;
  mac_ = 0;
  ++failures_;
  due_ = now + pause_;
  pause_ = std::min(pause_ * 2, longest_pause);
}

HopState NeighbourLife::state() const {
  if (phase_ == Phase::failed) return HopState::failed;
  return mac_ != 0 ? HopState::resolved : HopState::resolving;
}

}  // namespace weir::net

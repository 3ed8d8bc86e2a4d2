// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How much ICMP Weir itself may send: a token bucket per CPU that holds one second's worth.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// Credit in nanoseconds: a message costs a second divided by the rate. A budget of zeroes is full at its first use.
struct AnswerBudget {
  u64 last;    // when credit was last added, nanoseconds of a clock that does not jump
  u64 credit;  // nanoseconds, at most a second
};

/// Takes one message from `budget` if it holds one. `rate` in messages per second; 0 allows none.
LB_INLINE constexpr bool spend(AnswerBudget& budget, u32 rate, u64 now) {
  constexpr u64 second = 1'000'000'000;
  if (rate == 0) return false;
  const u64 passed = now - budget.last;
  budget.last = now;
  const u64 credit = passed > second ? second : budget.credit + passed;
  budget.credit = credit > second ? second : credit;
  const u64 cost = second / rate;
  if (budget.credit < cost) return false;
  budget.credit -= cost;
  return true;
}

}  // namespace weir

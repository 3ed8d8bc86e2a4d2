// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The internet checksum's incremental form (RFC 1624). One's complement sums do not depend on byte order (RFC 1071,
// 2B), so all sums here are over 16-bit words as they lie in memory.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// Folds a sum of 16-bit words to 16 bits; `sum` is below 2^32.
LB_INLINE constexpr u16 fold(u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<u16>(sum);
}

/// The sum of a word's two halves.
LB_INLINE constexpr u32 sum_of(Be32 word) { return (word.raw & 0xffff) + (word.raw >> 16); }

/// The sum of an address's words.
LB_INLINE constexpr u32 word_sum(const Ip& ip) {
  u32 sum = 0;
  for (u32 i = is_v4(ip) ? 3 : 0; i < 4; ++i) sum += (ip.word[i] & 0xffff) + (ip.word[i] >> 16);
  return sum;
}

/// What replacing `from` by `to` adds to a one's complement sum: ~m + m' of RFC 1624, folded.
LB_INLINE constexpr u16 replace_delta(u32 from, u32 to) { return fold(u32{0xffff} - fold(from) + to); }

/// The delta of the opposite replacement.
LB_INLINE constexpr u16 reverse_delta(u16 delta) { return static_cast<u16>(~delta); }

/// HC' = ~(~HC + ~m + m') (RFC 1624, equation 3); `delta` may be a sum of several folded deltas.
LB_INLINE constexpr Be16 update_checksum(Be16 checksum, u32 delta) {
  return {static_cast<u16>(~fold((~u32{checksum.raw} & 0xffff) + delta))};
}

/// The delta of a TTL that falls by one: the TTL is the first byte of its word, the low byte in memory order.
inline constexpr u32 ttl_delta = 0xfffe;

}  // namespace weir

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The two hashes of the fast path: a keyed one of the flow, which picks a row, and one of the index key.
#pragma once

#include "dataplane/core/tables.hpp"
#include "dataplane/core/types.hpp"

namespace weir {

/// An IPv4 address family's part of a packet: how addresses lie and how they are hashed.
struct V4 {
  Be32 source;
  Be32 destination;
  static constexpr bool v6 = false;
  static constexpr u8 icmp = 1;  // IANA protocol number of the control messages
};

/// The IPv6 counterpart.
struct V6 {
  Be32 source[4];
  Be32 destination[4];
  static constexpr bool v6 = true;
  static constexpr u8 icmp = 58;
};

/// One step of NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO 1999; RFC 4418): two 32-bit words, each with
/// its own secret added modulo 2^32, multiplied to 64 bits. The sum of steps collides with probability 2^-32 for any
/// two inputs chosen without knowledge of the keys.
LB_INLINE u64 nh(const FlowKeys& keys, u32 pair, u32 first, u32 second) {
  const u32 a = first + keys.add[2 * pair];
  const u32 b = second + keys.add[2 * pair + 1];
  return u64{a} * b;
}

/// Spreads NH's sum over the upper bits: multiply-shift by a secret odd factor (Dietzfelbinger et al. 1997).
LB_INLINE u64 finish(const FlowKeys& keys, u64 sum) {
  sum ^= sum >> 32;
  return sum * keys.multiply;
}

/// The flow's 64-bit hash; a row index is its upper bits.
template <class Net>
LB_INLINE u64 flow_hash(const FlowKeys& keys, HashOn hash_on, const Net& net, u32 ports, u8 protocol) {
  u64 sum = 0;
  if constexpr (Net::v6) {
    sum = nh(keys, 0, net.source[0].raw, net.source[1].raw) + nh(keys, 1, net.source[2].raw, net.source[3].raw);
    if (hash_on == HashOn::five_tuple)
      sum += nh(keys, 2, net.destination[0].raw, net.destination[1].raw) +
             nh(keys, 3, net.destination[2].raw, net.destination[3].raw) + nh(keys, 4, ports, protocol);
  } else {
    const bool all = hash_on == HashOn::five_tuple;
    sum = nh(keys, 0, net.source.raw, all ? ports : 0);
    if (all) sum += nh(keys, 1, net.destination.raw, protocol);
  }
  return finish(keys, sum);
}

/// The index hash of an address and a key word. Public constants: nobody outside can add keys, and a look-up is one
/// probe whatever the packet says.
LB_INLINE constexpr u64 index_hash(u64 address, u32 key) {
  u64 h = (address + key * 0x9e37'79b9'7f4a'7c15ULL) * 0xbf58'476d'1ce4'e5b9ULL;
  h ^= h >> 32;
  return h * 0x94d0'49bb'1331'11ebULL;
}

LB_INLINE constexpr u64 address_word(Be32 address) { return address.raw; }
/// Plus one, lest ::a.b.c.d has the word of a.b.c.d: two keys of one hash never find slots of their own.
LB_INLINE constexpr u64 address_word(u64 upper, u64 lower) { return ((upper + 1) * 0xff51'afd7'ed55'8ccdULL) ^ lower; }
LB_INLINE constexpr u64 address_word(const Be32 (&a)[4]) {
  return address_word(u64{a[0].raw} << 32 | a[1].raw, u64{a[2].raw} << 32 | a[3].raw);
}
/// The same word of an address in the tables' form.
LB_INLINE constexpr u64 address_word(const Ip& ip) {
  if (is_v4(ip)) return ip.word[3];
  return address_word(u64{ip.word[0]} << 32 | ip.word[1], u64{ip.word[2]} << 32 | ip.word[3]);
}

/// The bit of an address in the filter that says whether the index may know it at all: a VIP, or a nat backend. It
/// costs one load, so that what is not for Weir is told from the rest before anything else is looked at.
LB_INLINE constexpr u32 address_bit(u64 address, u32 filter_shift) {
  return static_cast<u32>((address * 0xc2b2'ae3d'27d4'eb4fULL) >> filter_shift);
}

LB_INLINE constexpr bool same_address(const Ip& ip, Be32 address) { return ip.word[3] == address.raw && is_v4(ip); }
LB_INLINE constexpr bool same_address(const Ip& ip, const Be32 (&a)[4]) {
  return ip.word[0] == a[0].raw && ip.word[1] == a[1].raw && ip.word[2] == a[2].raw && ip.word[3] == a[3].raw;
}

}  // namespace weir

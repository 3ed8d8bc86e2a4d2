// SPDX-License-Identifier: Apache-2.0
#include "control/table/runners.hpp"

#include <xxhash.h>

#include <algorithm>
#include <tuple>

namespace weir::table {
namespace {

/// The bytes whose hash is a member's lot: alike on every host, without padding.
struct [[gnu::packed]] Identity {
  model::Seed seed;
  Ip vip;
  u16 vip_port;
  Protocol protocol;
  Ip address;
  u16 port;
};
static_assert(sizeof(Identity) == 16 + 16 + 2 + 1 + 16 + 2);

/// A member that may hold a row above its share's whole part, if it is among the first.
struct Hopeful {
  long long key;
  u32 runner;
};

/// Lets as many members hold one row above `least` as there are rows left, and as many again, plus one in 32: with room
/// to choose, whoever loses a row finds one soon. With all that have a fraction, the first table after the fractions
/// have passed a whole number would open one row for every member at once, and move them.
void open(std::vector<Runner>& runners, std::vector<Hopeful> hopefuls, u64 left) {
  const u64 count = std::min<u64>(hopefuls.size(), 2 * left + runners.size() / 32);
  std::sort(hopefuls.begin(), hopefuls.end(),
            [](const Hopeful& a, const Hopeful& b) { return std::tie(a.key, a.runner) < std::tie(b.key, b.runner); });
  for (u64 i = 0; i < count; ++i) ++runners[hopefuls[i].runner].most;
}

}  // namespace

Lot draw(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip, const model::Endpoint& member) {
  const Identity identity{seed, vip.address, vip.port, protocol, member.address, member.port};
  const XXH128_hash_t hash = XXH3_128bits(&identity, sizeof identity);
  return {hash.high64, hash.low64};
}

std::vector<Runner> runners_of(const model::Seed& seed, Protocol protocol, const model::Endpoint& vip,
                               std::span<const Member> members, u32 rows) {
  struct Keyed {
    Lot lot;
    const Member* member;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(members.size());
  u64 sum = 0;
  for (const Member& member : members) {
    if (member.weight == 0) continue;
    sum += member.weight;
    keyed.push_back({draw(seed, protocol, vip, member.endpoint), &member});
  }
  std::sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) {
    return std::tuple(a.lot.high, a.lot.low, a.member->weight, a.member->value) <
           std::tuple(b.lot.high, b.lot.low, b.member->weight, b.member->value);
  });
  std::vector<Runner> runners;
  std::vector<Hopeful> hopefuls;
  runners.reserve(keyed.size());
  u64 left = rows;
  for (const auto& [lot, member] : keyed) {
    const u64 share = u64{rows} * member->weight;
    const u32 least = static_cast<u32>(share / sum);
    // Members of one fraction are opened in an order drawn for good, those of a greater one earlier. 24 bits.
    constexpr u32 bits = 24;
    if (const u64 rest = share % sum; rest != 0) {
      const auto drawn = static_cast<long long>(lot.low >> (64 - bits));
      hopefuls.push_back({drawn - 2 * static_cast<long long>((rest << bits) / sum), static_cast<u32>(runners.size())});
    }
    left -= least;
    runners.push_back({.offset = static_cast<u32>(lot.low),
                       .skip = static_cast<u32>(lot.high) | 1,
                       .start = static_cast<u32>((lot.low >> 32) % Clock::step),
                       .value = member->value,
                       .weight = member->weight,
                       .pace = slowest / member->weight,
                       .rows = 0,
                       .least = least,
                       .most = least});
  }
  open(runners, std::move(hopefuls), left);
  return runners;
}

}  // namespace weir::table

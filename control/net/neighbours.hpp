// SPDX-License-Identifier: Apache-2.0
// Words to the kernel's neighbour tables. The kernel sends the ARP and ND packets; these only tell it when.
#pragma once

#include <optional>
#include <utility>

#include "control/net/attributes.hpp"
#include "control/net/netlink_socket.hpp"

namespace weir::net {

/// The kernel marks an entry with the number of the program that created it (NDA_PROTOCOL; `ip neigh` shows "proto
/// 87"). 87 is in none of the kernel's and iproute2's lists. By it Weir knows its entries, also after a restart.
inline constexpr u8 neighbour_protocol = 87;

struct NeighbourKey {
  Ip address{};
  int ifindex = 0;
  friend bool operator==(const NeighbourKey&, const NeighbourKey&) = default;
};

struct NeighbourKeyHash {
  std::size_t operator()(const NeighbourKey& key) const {
    return IpHash{}(key.address) * 31 + static_cast<std::size_t>(key.ifindex);
  }
};

/// One entry of the kernel's table.
struct NeighbourEntry {
  u16 nud = 0;                  ///< NUD_*: one bit, or 0
  MacBits mac = 0;              ///< 0 when unknown or not 6 bytes long
  bool kept_by_others = false;  ///< a routing daemon or the kernel itself keeps it fresh (ext_learned, managed)
  bool ours = false;            ///< created by Weir

  /// A MAC that frames may be sent to: confirmed, or not yet known to be wrong.
  [[nodiscard]] bool usable() const;
  /// Set by hand or needing no resolution: never asked about.
  [[nodiscard]] bool fixed() const;
};

/// What RTM_NEWNEIGH or RTM_DELNEIGH says (no entry: deleted); nothing for bridges' and proxies' entries.
struct NeighbourNews {
  NeighbourKey key;
  std::optional<NeighbourEntry> entry;
};
[[nodiscard]] std::optional<NeighbourNews> read_neighbour(const nlmsghdr* message);

/// Absent when the kernel has no such entry.
[[nodiscard]] std::optional<NeighbourEntry> find_neighbour(NetlinkSocket& socket, const NeighbourKey& key);

// Each returns 0 or an errno.

/// Resolve: as if a packet were waiting. Creates the entry when there is none; leaves an entry of `fixed()` kind alone.
int use_neighbour(NetlinkSocket& socket, const NeighbourKey& key);
/// Confirm a usable entry now, by unicast; the kernel goes on using its MAC meanwhile.
int probe_neighbour(NetlinkSocket& socket, const NeighbourKey& key);
/// Drop what is known and resolve anew, by broadcast: finds a neighbour that has another MAC now.
int renew_neighbour(NetlinkSocket& socket, const NeighbourKey& key);
int delete_neighbour(NetlinkSocket& socket, const NeighbourKey& key);

}  // namespace weir::net

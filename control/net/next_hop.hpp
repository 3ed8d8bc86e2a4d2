// SPDX-License-Identifier: Apache-2.0
// What the kernel's routing and neighbour tables say about reaching an address, as plain values.
#pragma once

#include <string>

#include "dataplane/core/types.hpp"

namespace weir::net {

enum class HopState : u8 {
  resolved,              ///< route and neighbour are known: `mac` and `ifindex` hold
  resolving,             ///< route known, the neighbour does not answer yet (or not again)
  failed,                ///< route known, the kernel has given up on the neighbour
  no_route,              ///< no route, or one that rejects
  local,                 ///< the address belongs to this host
  loopback_or_unusable,  ///< leaves through an interface that carries no Ethernet frames
};

/// Where a frame for an address goes next.
struct NextHop {
  HopState state = HopState::no_route;
  int ifindex = 0;             ///< egress interface; 0 unless a route is known
  std::string interface = {};  ///< its name
  Ip gateway{};                ///< the neighbour: the gateway, or the address itself when on-link
  bool on_link = false;        ///< gateway == the address itself
  MacBits mac = 0;             ///< the neighbour's MAC; 0 unless resolved
  u32 mtu = 0;  ///< longest IP datagram in bytes: the lesser of the link's and the route's, if it has one; 0: no route
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

/// One network interface as the kernel reports it.
struct Link {
  int ifindex = 0;
  std::string name;
  MacBits mac = 0;
  u32 mtu = 0;
  bool up = false;  ///< IFF_UP and carrier
  friend bool operator==(const Link&, const Link&) = default;
};

/// "02:00:00:00:00:01".
[[nodiscard]] std::string mac_text(MacBits mac);

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
// One question to the kernel's routing tables: which way to an address?
#pragma once

#include "control/net/netlink_socket.hpp"
#include "control/net/next_hop.hpp"

namespace weir::net {

struct Route {
  enum class Kind : u8 {
    none,          ///< no route, or one that rejects
    local,         ///< the address is the host's own
    unicast,       ///< out of `ifindex` to `gateway`
    encapsulated,  ///< a tunnel route: frames for it need a header that Weir does not write
  };
  Kind kind = Kind::none;
  int ifindex = 0;
  Ip gateway{};  ///< the target itself when on-link; may be IPv6 for an IPv4 target (RTA_VIA)
  u32 mtu = 0;   ///< the route's metric, or the path MTU that the kernel has learned, in bytes; 0: the link's
};

/// The route the kernel would take now for a packet of its own; of several next hops the one that it picks.
[[nodiscard]] Route find_route(NetlinkSocket& socket, const Ip& target);

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
// What has to be known of an interface before packets go out of it.
#pragma once

#include <string>

#include "control/model/result.hpp"
#include "control/net/netlink_socket.hpp"
#include "control/net/next_hop.hpp"

namespace weir::lbgen {

struct Interface {
  net::Link link;
  std::string kind;  ///< the kernel's word for a virtual device ("veth"); empty for others
};

/// An interface that carries Ethernet and is up. Faults: not_found, invalid.
[[nodiscard]] Result<Interface> find_interface(net::NetlinkSocket& socket, const std::string& name);

/// Fails (refused) when a default route of any table leaves through the interface, through the bridge or bond that it
/// is a port of, or through a VLAN or the like on top of it: a flood there takes the host, and who is behind, off the
/// net.
[[nodiscard]] Result<> refuse_default_route(net::NetlinkSocket& socket, const Interface& interface);

/// The MAC that frames from `interface` to `destination` go to, by the kernel's routes and neighbours. Waits up to two
/// seconds for a neighbour to answer. Faults: not_found, invalid.
[[nodiscard]] Result<MacBits> look_up_mac(net::NetlinkSocket& socket, const Interface& interface,
                                          const Ip& destination);

/// Frames that the interface itself has counted as sent, whoever sent them; 0 when the kernel does not say.
[[nodiscard]] u64 frames_left(net::NetlinkSocket& socket, int ifindex);

}  // namespace weir::lbgen

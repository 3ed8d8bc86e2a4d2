// SPDX-License-Identifier: Apache-2.0
// The host's interfaces and its own addresses, as the kernel last described them.
#pragma once

#include <linux/netlink.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/model/result.hpp"
#include "control/net/attributes.hpp"
#include "control/net/netlink_socket.hpp"
#include "control/net/next_hop.hpp"

namespace weir::net {

/// An address that came to the host or left it.
struct AddressChange {
  Ip address{};
  bool present = false;
};

class Links {
 public:
  /// Changes since the last call that emptied them; a removed link is listed with `up` false.
  struct Changes {
    std::vector<Link> links;
    std::vector<AddressChange> addresses;
  };

  /// Reads everything anew; what differs from before is a change.
  Result<void> read_all(NetlinkSocket& socket, Changes& changes);
  /// Takes over RTM_{NEW,DEL}{LINK,ADDR}; other messages are ignored.
  void apply(const nlmsghdr* message, Changes& changes);
  /// Asks for one link that a route names but that no notification has shown yet.
  void read_one(NetlinkSocket& socket, int ifindex, Changes& changes);

  [[nodiscard]] std::optional<Link> find(int ifindex) const;
  [[nodiscard]] std::optional<Link> find(const std::string& name) const;
  /// Does the interface carry Ethernet frames to other hosts?
  [[nodiscard]] bool is_ethernet(int ifindex) const;
  [[nodiscard]] bool is_local(const Ip& address) const { return addresses_.contains(address); }

 private:
  struct Entry {
    Link link;
    bool ethernet = false;
  };
  using Interfaces = std::vector<int>;

  void apply_link(const nlmsghdr* message, Changes& changes);
  void apply_address(const nlmsghdr* message, Changes& changes);

  std::unordered_map<int, Entry> links_;
  std::unordered_map<Ip, Interfaces, IpHash> addresses_;  // one address may be on several interfaces
};

}  // namespace weir::net

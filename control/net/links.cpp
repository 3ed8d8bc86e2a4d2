// SPDX-License-Identifier: Apache-2.0
#include "control/net/links.hpp"

#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
// <linux/if.h> and <net/if.h> define the same names; the latter lacks IFF_LOWER_UP.
#include <linux/if.h>
#include <sys/socket.h>

#include <algorithm>

namespace weir::net {

Result<void> Links::read_all(NetlinkSocket& socket, Changes& changes) {
  Links fresh;
  Changes ignored;
  const auto take = [&](const nlmsghdr* message) { fresh.apply(message, ignored); };
  if (auto read = socket.dump(RTM_GETLINK, AF_UNSPEC, take); !read) return read;
  if (auto read = socket.dump(RTM_GETADDR, AF_UNSPEC, take); !read) return read;

  for (auto& [ifindex, entry] : links_) {
    if (fresh.links_.contains(ifindex)) continue;
    entry.link.up = false;
    changes.links.push_back(entry.link);
  }
  for (const auto& [ifindex, entry] : fresh.links_)
    if (const auto old = links_.find(ifindex); old == links_.end() || !(old->second.link == entry.link))
      changes.links.push_back(entry.link);
  for (const auto& [address, interfaces] : addresses_)
    if (!fresh.is_local(address)) changes.addresses.push_back({address, false});
  for (const auto& [address, interfaces] : fresh.addresses_)
    if (!is_local(address)) changes.addresses.push_back({address, true});
  *this = std::move(fresh);
  return {};
}

void Links::read_one(NetlinkSocket& socket, int ifindex, Changes& changes) {
  Request request(RTM_GETLINK, 0);
  request.family<ifinfomsg>().ifi_index = ifindex;
  // An error means that the link is gone again, and its removal is about to be notified.
  socket.ask(request, [&](const nlmsghdr* message) { apply(message, changes); });
}

void Links::apply(const nlmsghdr* message, Changes& changes) {
  if (message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK) apply_link(message, changes);
  if (message->nlmsg_type == RTM_NEWADDR || message->nlmsg_type == RTM_DELADDR) apply_address(message, changes);
}

void Links::apply_link(const nlmsghdr* message, Changes& changes) {
  const auto* header = family_header<ifinfomsg>(message);
  // A bridge speaks of its ports in the same group with AF_BRIDGE; its "DELLINK" means "no longer a port".
  if (header == nullptr || header->ifi_family != AF_UNSPEC) return;
  const auto found = links_.find(header->ifi_index);
  if (message->nlmsg_type == RTM_DELLINK) {
    if (found == links_.end()) return;
    found->second.link.up = false;
    changes.links.push_back(found->second.link);
    links_.erase(found);
    return;
  }
  const auto attribute = attributes<IFLA_MTU>(message, sizeof *header);
  Entry entry;
  entry.ethernet = header->ifi_type == ARPHRD_ETHER && (header->ifi_flags & IFF_LOOPBACK) == 0;
  entry.link.ifindex = header->ifi_index;
  if (attribute[IFLA_IFNAME] != nullptr) entry.link.name = mnl_attr_get_str(attribute[IFLA_IFNAME]);
  entry.link.mac = read_mac(attribute[IFLA_ADDRESS]);
  entry.link.mtu = read_u32(attribute[IFLA_MTU]);
  entry.link.up = (header->ifi_flags & IFF_UP) != 0 && (header->ifi_flags & IFF_LOWER_UP) != 0;
  if (found != links_.end() && found->second.link == entry.link) return;
  changes.links.push_back(entry.link);
  links_[header->ifi_index] = std::move(entry);
}

void Links::apply_address(const nlmsghdr* message, Changes& changes) {
  const auto* header = family_header<ifaddrmsg>(message);
  if (header == nullptr) return;
  const auto attribute = attributes<IFA_LOCAL>(message, sizeof *header);
  // On a point-to-point link IFA_ADDRESS is the peer's; IPv6 leaves IFA_LOCAL out where there is no peer.
  std::optional<Ip> address = read_address(attribute[IFA_LOCAL]);
  if (!address) address = read_address(attribute[IFA_ADDRESS]);
  if (!address) return;
  const int ifindex = static_cast<int>(header->ifa_index);

  if (message->nlmsg_type == RTM_NEWADDR) {
    Interfaces& on = addresses_[*address];
    if (on.empty()) changes.addresses.push_back({*address, true});
    if (std::find(on.begin(), on.end(), ifindex) == on.end()) on.push_back(ifindex);
  } else if (const auto found = addresses_.find(*address); found != addresses_.end()) {
    std::erase(found->second, ifindex);
    if (!found->second.empty()) return;
    addresses_.erase(found);
    changes.addresses.push_back({*address, false});
  }
}

std::optional<Link> Links::find(int ifindex) const {
  const auto found = links_.find(ifindex);
  return found == links_.end() ? std::nullopt : std::optional(found->second.link);
}

std::optional<Link> Links::find(const std::string& name) const {
  for (const auto& [ifindex, entry] : links_)
    if (entry.link.name == name) return entry.link;
  return std::nullopt;
}

bool Links::is_ethernet(int ifindex) const {
  const auto found = links_.find(ifindex);
  return found != links_.end() && found->second.ethernet;
}

}  // namespace weir::net

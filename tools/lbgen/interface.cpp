// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/interface.hpp"

#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <chrono>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "control/model/text.hpp"
#include "control/net/attributes.hpp"
#include "control/net/links.hpp"
#include "control/net/neighbours.hpp"
#include "control/net/routes.hpp"

namespace weir::lbgen {
namespace {

using net::attributes;
using net::family_header;
using net::read_u32;

/// The word in IFLA_LINKINFO.
std::string kind_of(const nlattr* information) {
  std::string kind;
  const auto take = [](const nlattr* attribute, void* into) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) *static_cast<std::string*>(into) = mnl_attr_get_str(attribute);
    return MNL_CB_OK;
  };
  if (information != nullptr) mnl_attr_parse_nested(information, take, &kind);
  return kind;
}

/// A line of the kernel's list of interfaces, as far as it tells who carries whose frames.
struct Stacked {
  int ifindex = 0;
  int master = 0;
  int below = 0;
  std::string name;
};

/// The interface and all that send their frames through it.
Result<std::vector<Stacked>> carried_by(net::NetlinkSocket& socket, int ifindex) {
  std::vector<Stacked> all;
  const auto read = [&](const nlmsghdr* message) {
    const auto* header = family_header<ifinfomsg>(message);
    if (header == nullptr) return;
    const auto attribute = attributes<IFLA_LINK_NETNSID>(message, sizeof *header);
    Stacked one{header->ifi_index, static_cast<int>(read_u32(attribute[IFLA_MASTER])), 0, {}};
    // A veth names its peer there, a device of another namespace is no business of this host's.
    if (attribute[IFLA_LINK_NETNSID] == nullptr && kind_of(attribute[IFLA_LINKINFO]) != "veth")
      one.below = static_cast<int>(read_u32(attribute[IFLA_LINK]));
    if (attribute[IFLA_IFNAME] != nullptr) one.name = mnl_attr_get_str(attribute[IFLA_IFNAME]);
    all.push_back(std::move(one));
  };
  if (auto done = socket.dump(RTM_GETLINK, AF_UNSPEC, read); !done) return tl::unexpected(done.error());
  std::set<int> found{ifindex};
  for (std::size_t before = 0; before != found.size();) {
    before = found.size();
    for (const Stacked& one : all) {
      if (found.contains(one.ifindex) && one.master != 0) found.insert(one.master);
      if (one.below != 0 && found.contains(one.below)) found.insert(one.ifindex);
    }
  }
  std::erase_if(all, [&](const Stacked& one) { return !found.contains(one.ifindex); });
  return all;
}

/// Interfaces that a route leaves by.
std::vector<int> exits(const nlmsghdr* message, std::size_t header) {
  std::vector<int> found;
  const auto attribute = attributes<RTA_MULTIPATH>(message, header);
  if (attribute[RTA_OIF] != nullptr) found.push_back(static_cast<int>(read_u32(attribute[RTA_OIF])));
  if (attribute[RTA_MULTIPATH] == nullptr) return found;
  const auto* hop = static_cast<const rtnexthop*>(mnl_attr_get_payload(attribute[RTA_MULTIPATH]));
  int length = mnl_attr_get_payload_len(attribute[RTA_MULTIPATH]);
  while (RTNH_OK(hop, length)) {
    found.push_back(hop->rtnh_ifindex);
    length -= RTNH_ALIGN(hop->rtnh_len);
    hop = reinterpret_cast<const rtnexthop*>(reinterpret_cast<const char*>(hop) + RTNH_ALIGN(hop->rtnh_len));
  }
  return found;
}

}  // namespace

Result<Interface> find_interface(net::NetlinkSocket& socket, const std::string& name) {
  net::Links links;
  net::Links::Changes changes;
  if (auto done = links.read_all(socket, changes); !done) return tl::unexpected(done.error());
  const auto link = links.find(name);
  if (!link) return fail(Fault::not_found, "there is no interface {}; see: ip link", name);
  if (!links.is_ethernet(link->ifindex))
    return fail(Fault::invalid, "{} carries no Ethernet frames to other hosts", name);
  if (!link->up)
    return fail(Fault::invalid, "{} is down: ip link set {} up; a veth needs its peer up as well", name, name);
  Interface found{*link, {}};
  net::Request request(RTM_GETLINK, 0);
  request.family<ifinfomsg>().ifi_index = link->ifindex;
  socket.ask(request, [&](const nlmsghdr* message) {
    const auto* header = family_header<ifinfomsg>(message);
    if (header != nullptr) found.kind = kind_of(attributes<IFLA_LINKINFO>(message, sizeof *header)[IFLA_LINKINFO]);
  });
  return found;
}

Result<> refuse_default_route(net::NetlinkSocket& socket, const Interface& interface) {
  const auto carried = carried_by(socket, interface.link.ifindex);
  if (!carried) return tl::unexpected(carried.error());
  std::string by;
  u8 family = 0;
  const auto read = [&](const nlmsghdr* message) {
    const auto* header = family_header<rtmsg>(message);
    if (header == nullptr || header->rtm_dst_len != 0 || header->rtm_type != RTN_UNICAST) return;
    for (const int ifindex : exits(message, sizeof *header))
      for (const Stacked& one : *carried)
        if (one.ifindex == ifindex) by = one.name, family = header->rtm_family;
  };
  for (const u8 wanted : {u8{AF_INET}, u8{AF_INET6}})
    if (auto done = socket.dump(RTM_GETROUTE, wanted, read); !done) return tl::unexpected(done.error());
  if (by.empty()) return {};
  const std::string_view which = family == AF_INET ? "IPv4" : "IPv6";
  const std::string_view show = family == AF_INET ? "ip route show default" : "ip -6 route show default";
  if (by == interface.link.name)
    return fail(Fault::refused,
                "{} carries the {} default route ({}): generated packets would leave for the rest of the network and "
                "could cut this host off; name an interface of a test network",
                by, which, show);
  return fail(
      Fault::refused,
      "{} carries frames of {}, and {} the {} default route ({}): generated packets would leave for the rest of "
      "the network and could cut this host off; name an interface of a test network",
      interface.link.name, by, by, which, show);
}

Result<MacBits> look_up_mac(net::NetlinkSocket& socket, const Interface& interface, const Ip& destination) {
  const std::string& name = interface.link.name;
  const std::string text = model::to_text(destination);
  const net::Route route = net::find_route(socket, destination);
  if (route.kind == net::Route::Kind::local)
    return fail(Fault::invalid, "{} is this host's own address; --mac names the MAC that frames go to all the same",
                text);
  if (route.kind != net::Route::Kind::unicast)
    return fail(Fault::not_found, "no route to {}; add one, or name the MAC that frames go to with --mac", text);
  if (route.ifindex != interface.link.ifindex)
    return fail(Fault::invalid,
                "the route to {} does not leave through {} (ip route get {}); name that interface, or the MAC that "
                "frames go to with --mac",
                text, name, text);
  const net::NeighbourKey key{route.gateway, route.ifindex};
  auto entry = net::find_neighbour(socket, key);
  const bool was_there = entry.has_value();
  if (!entry || !entry->usable()) net::use_neighbour(socket, key);
  constexpr int tries = 200;
  for (int i = 0; i < tries && (!entry || !entry->usable()); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    entry = net::find_neighbour(socket, key);
  }
  if (!was_there && entry && entry->ours) net::delete_neighbour(socket, key);
  if (!entry || !entry->usable() || entry->mac == 0)
    return fail(Fault::not_found, "{} on {} does not answer {}; is it up? --mac names the MAC that frames go to",
                model::to_text(route.gateway), name, is_v4(route.gateway) ? "ARP" : "neighbour discovery");
  return entry->mac;
}

u64 frames_left(net::NetlinkSocket& socket, int ifindex) {
  u64 frames = 0;
  net::Request request(RTM_GETLINK, 0);
  request.family<ifinfomsg>().ifi_index = ifindex;
  socket.ask(request, [&](const nlmsghdr* message) {
    const auto* header = family_header<ifinfomsg>(message);
    if (header == nullptr) return;
    const nlattr* attribute = attributes<IFLA_STATS64>(message, sizeof *header)[IFLA_STATS64];
    if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < sizeof(rtnl_link_stats64)) return;
    rtnl_link_stats64 counters;
    std::memcpy(&counters, mnl_attr_get_payload(attribute), sizeof counters);
    frames = counters.tx_packets;
  });
  return frames;
}

}  // namespace weir::lbgen

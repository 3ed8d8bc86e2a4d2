// SPDX-License-Identifier: Apache-2.0
#include "control/net/routes.hpp"

#include <linux/rtnetlink.h>

#include "control/net/attributes.hpp"

namespace weir::net {

namespace {

/// The MTU nested in RTA_METRICS; 0 where there is none.
u32 read_mtu(const nlattr* metrics) {
  u32 mtu = 0;
  const auto take = [](const nlattr* metric, void* into) {
    if (mnl_attr_get_type(metric) == RTAX_MTU) *static_cast<u32*>(into) = read_u32(metric);
    return MNL_CB_OK;
  };
  if (metrics != nullptr) mnl_attr_parse_nested(metrics, take, &mtu);
  return mtu;
}

Route read_route(const nlmsghdr* message, const Ip& target) {
  const auto* header = family_header<rtmsg>(message);
  if (message->nlmsg_type != RTM_NEWROUTE || header == nullptr) return {};
  if (header->rtm_type == RTN_LOCAL) return {.kind = Route::Kind::local};
  if (header->rtm_type != RTN_UNICAST) return {};  // unreachable, prohibit, blackhole; broadcast and multicast too
  const auto attribute = attributes<RTA_ENCAP>(message, sizeof *header);
  Route route{
      .kind = Route::Kind::unicast, .ifindex = static_cast<int>(read_u32(attribute[RTA_OIF])), .gateway = target};
  if (attribute[RTA_ENCAP] != nullptr) route.kind = Route::Kind::encapsulated;
  if (const auto gateway = read_address(attribute[RTA_GATEWAY])) route.gateway = *gateway;
  if (const auto gateway = read_via(attribute[RTA_VIA])) route.gateway = *gateway;
  route.mtu = read_mtu(attribute[RTA_METRICS]);
  return route.ifindex > 0 ? route : Route{};
}

}  // namespace

Route find_route(NetlinkSocket& socket, const Ip& target) {
  Request request(RTM_GETROUTE, 0);
  auto& header = request.family<rtmsg>();
  header.rtm_family = address_family(target);
  header.rtm_dst_len = address_bits(target);
  put_address(request.message(), RTA_DST, target);
  // Rejecting routes come back as errors for IPv4 (EINVAL, EHOSTUNREACH, EACCES) and as route types for IPv6.
  Route route;
  const int code = socket.ask(request, [&](const nlmsghdr* message) { route = read_route(message, target); });
  return code == 0 ? route : Route{};
}

}  // namespace weir::net

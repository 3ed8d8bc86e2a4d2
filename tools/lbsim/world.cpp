// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/world.hpp"

#include <algorithm>

#include "dataplane/core/tables.hpp"

namespace weir::lbsim {
namespace {

/// Whether the first `bits` of the two are equal; `bits` counts from the start of the 16 bytes.
bool same_start(const Ip& a, const Ip& b, u32 bits) {
  for (u32 i = 0; i < 4 && bits > 0; ++i) {
    const u32 here = std::min(bits, 32U);
    const u32 difference = __builtin_bswap32(a.word[i] ^ b.word[i]);
    if (difference >> (32 - here) != 0) return false;
    bits -= here;
  }
  return true;
}

bool contains(const model::Prefix& prefix, const Ip& address) {
  if (is_v4(prefix.address) != is_v4(address)) return false;
  return same_start(prefix.address, address, prefix.length + (is_v4(address) ? 96 : 0));
}

/// A locally administered MAC that ends in the address's last four bytes.
MacBits invented_mac(const Ip& address) { return 0x02 | u64{address.word[3]} << 16; }

}  // namespace

const Interface* World::named(std::string_view name) const {
  const auto found = std::find_if(interfaces.begin(), interfaces.end(), [&](const auto& i) { return i.name == name; });
  return found == interfaces.end() ? nullptr : &*found;
}

const Interface* World::indexed(u32 ifindex) const {
  const auto found =
      std::find_if(interfaces.begin(), interfaces.end(), [&](const auto& i) { return i.ifindex == ifindex; });
  return found == interfaces.end() ? nullptr : &*found;
}

bool World::is_local(const Ip& address) const { return std::find(local.begin(), local.end(), address) != local.end(); }

Way World::way_to(const Ip& address) const {
  if (is_local(address)) return {Way::Kind::local};
  const auto neighbor_at = [&](const Ip& wanted, std::size_t interface) -> const Neighbor* {
    const auto found = std::find_if(neighbors.begin(), neighbors.end(),
                                    [&](const Neighbor& n) { return n.address == wanted && n.interface == interface; });
    return found == neighbors.end() ? nullptr : &*found;
  };
  const auto towards = [&](const Neighbor* next, std::size_t index, u32 mtu) {
    const Interface& interface = interfaces[index];
    const bool resolved = next && next->resolved;
    return Way{resolved ? Way::Kind::resolved : Way::Kind::unresolved, &interface, resolved ? next->mac : 0,
               mtu != 0 ? mtu : interface.mtu};
  };
  for (const Neighbor& n : neighbors)
    if (n.address == address) return towards(&n, n.interface, n.mtu);
  const PrefixRoute* best = nullptr;
  for (const PrefixRoute& route : routes)
    if (contains(route.prefix, address) && (!best || route.prefix.length > best->prefix.length)) best = &route;
  if (!best) return {Way::Kind::none};
  if (best->unreachable) return {Way::Kind::rejected};
  return towards(neighbor_at(best->gateway.value_or(address), best->interface), best->interface, best->mtu);
}

table::Hop World::hop_of(const Ip& address) const {
  const Way way = way_to(address);
  if (way.kind != Way::Kind::resolved || !way.interface->attached) return {};
  return {hop_word(way.mac, port_index(way.interface->ifindex)), way.mtu};
}

Route World::route_to(const Ip& client, u32 length) const {
  if (!forwarding) return {Verdict::client_forwarding_off, 0};
  const Way way = way_to(client);
  switch (way.kind) {
    case Way::Kind::none:
    case Way::Kind::local:
      return {Verdict::answer_not_forwarded, 0};
    case Way::Kind::rejected:
      return {Verdict::client_no_route, 0};
    default:
      break;
  }
  // The kernel looks at the length first, then for the neighbour.
  const bool too_big = length > way.mtu;
  if (!too_big && way.kind == Way::Kind::unresolved) return {Verdict::client_no_neighbor, 0};
  if (!way.interface->attached) return {Verdict::client_egress_unattached, 0};
  const u64 hop = hop_word(way.mac, port_index(way.interface->ifindex));
  return {too_big ? Verdict::too_big : Verdict::returned_nat, hop, too_big ? way.mtu : 0};
}

World invent_world(const config::Configuration& configuration, std::optional<MacBits> first_mac) {
  World world;
  for (const std::string& name : configuration.settings.interfaces) {
    const u32 ifindex = 10 + static_cast<u32>(world.interfaces.size());
    world.interfaces.push_back({name, 0x02 | u64{ifindex} << 40, 1500, ifindex, true});
  }
  if (first_mac) world.interfaces[0].mac = *first_mac;
  for (const model::Service& service : configuration.services)
    for (const model::Backend& backend : service.backends) {
      const Ip& address = backend.endpoint.address;
      if (world.way_to(address).kind != Way::Kind::none) continue;
      world.neighbors.push_back({address, 0, invented_mac(address), true, 0});
    }
  const Ip gateways[] = {ip_from_v4(to_be(0xc00002feU)), {{to_be(0xfe800000U).raw, 0, 0, to_be(0xfeU).raw}}};
  for (const Ip& gateway : gateways) {
    world.neighbors.push_back({gateway, 0, 0xfe00'0000'0002, true, 0});
    world.routes.push_back({{is_v4(gateway) ? ip_from_v4({0}) : Ip{}, 0}, false, gateway, 0, 0});
  }
  return world;
}

}  // namespace weir::lbsim

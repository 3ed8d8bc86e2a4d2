// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/reachability.hpp"

#include "control/model/text.hpp"

namespace weir::daemon {

Result<> judge_hop(const Ip& backend, Mode mode, const net::NextHop& hop, bool attached) {
  const std::string address = model::to_text(backend);
  switch (hop.state) {
    case net::HopState::no_route:
      return fail(Fault::refused, "no route to backend {}: add one (ip route add ...) or correct the address", address);
    case net::HopState::local:
      return fail(Fault::invalid,
                  "backend {} is an address of this host: packets to it never leave; use another host's", address);
    case net::HopState::loopback_or_unusable:
      return fail(Fault::invalid, "backend {} is reached through {}, which carries no Ethernet frames", address,
                  hop.interface);
    case net::HopState::resolved:
    case net::HopState::resolving:
    case net::HopState::failed:
      break;
  }
  if (!attached)
    return fail(Fault::refused,
                "backend {} is reached through {}, which is not in `interfaces`: add it there and restart lbd", address,
                hop.interface);
  if (mode == Mode::l2dsr && !hop.on_link)
    return fail(Fault::refused, "backend {} is behind the gateway {}, but mode l2dsr needs it on the same L2 network",
                address, model::to_text(hop.gateway));
  if (hop.state != net::HopState::resolved)
    return fail(Fault::refused, "{} {} does not answer {} on {}: is the host up and in that network?",
                hop.on_link ? "backend" : "gateway", model::to_text(hop.gateway),
                is_v4(hop.gateway) ? "ARP" : "neighbour discovery", hop.interface);
  return {};
}

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/mtu_warnings.hpp"

#include <fmt/format.h>

#include <map>

#include "control/model/text.hpp"

namespace weir::daemon {

std::vector<std::string> tunnel_mtu_warnings(const TableMemory& memory) {
  std::map<u32, const Backend*> narrowest;  // by service
  for (const Backend& backend : memory.backends) {
    if (backend.in_use == 0 || !is_tunnel(backend.mode) || backend.service >= memory.services.size()) continue;
    if (is_v4(memory.services[backend.service].vip) || backend.mtu == 0 || backend.mtu >= least_mtu6) continue;
    const Backend*& least = narrowest[backend.service];
    if (least == nullptr || backend.mtu < least->mtu) least = &backend;
  }
  std::vector<std::string> warnings;
  for (const auto& [id, backend] : narrowest) {
    const Service& service = memory.services[id];
    warnings.push_back(fmt::format(
        "{}:{} ({}): datagrams to backend {} may be {} bytes long, but IPv6 clients send up to {} whatever they are "
        "told; raise the MTU on the way to it to {}",
        model::to_text(service.protocol), model::to_text(model::Endpoint{service.vip, to_host(service.port)}),
        model::to_text(service.mode), model::to_text(backend->address), backend->mtu, least_mtu6,
        least_mtu6 + outer_length(backend->mode, is_v4(backend->address))));
  }
  return warnings;
}

std::string link_mtu_warning(const net::Link& link) {
  if (link.mtu >= least_mtu4) return {};
  return fmt::format(
      "interface {} has an MTU of {}, less than the {} bytes that every host takes: ip link set dev {} "
      "mtu 1500",
      link.name, link.mtu, least_mtu4, link.name);
}

}  // namespace weir::daemon

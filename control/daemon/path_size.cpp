// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/path_size.hpp"

#include <algorithm>

namespace weir::daemon {
namespace {

constexpr u32 tcp_header = 20;
constexpr u32 ipv4_header = 20;
constexpr u32 ipv6_header = 40;

}  // namespace

std::optional<u32> known_mtu(u32 mtu) { return mtu == 0 ? std::nullopt : std::optional<u32>(mtu); }

std::optional<u32> effective_mtu(std::span<const std::optional<u32>> backends) {
  std::optional<u32> smallest;
  for (const std::optional<u32>& mtu : backends)
    if (mtu && (!smallest || *mtu < *smallest)) smallest = mtu;
  return smallest;
}

std::optional<u32> effective_mss(const model::Service& service, std::optional<u32> mtu) {
  if (!mtu) return {};
  const u32 headers = tcp_header + (is_v4(service.vip.address) ? ipv4_header : ipv6_header);
  const u32 fits = *mtu > headers ? *mtu - headers : 0;
  return service.mss == 0 ? fits : std::min(fits, service.mss);
}

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/kernel_world.hpp"

#include <sched.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "control/model/text.hpp"

namespace weir::lbsim {
namespace {

/// A MAC as ip(8) reads it.
std::string mac_words(MacBits mac) {
  std::string text;
  for (u32 i = 0; i < 6; ++i) text += fmt::format("{}{:02x}", i == 0 ? "" : ":", mac >> (8 * i) & 0xff);
  return text;
}

/// Locked: for IPv4 the kernel heeds a route's MTU in forwarding only so.
std::string mtu_words(u32 mtu) { return mtu == 0 ? "" : fmt::format(" mtu lock {}", mtu); }

Result<> ip_batch(const char* options, const std::string& lines) {
  if (lines.empty()) return {};
  FILE* ip = popen(fmt::format("ip {} -batch -", options).c_str(), "we");
  if (!ip) return fail(Fault::internal, "cannot run ip(8): {}; install iproute2", std::strerror(errno));
  const bool written = std::fwrite(lines.data(), 1, lines.size(), ip) == lines.size();
  if (pclose(ip) != 0 || !written)
    return fail(Fault::internal, "ip(8) could not make the world's interfaces and routes; its reason stands above");
  return {};
}

Result<> set_sysctl(const std::string& name, bool on) {
  std::ofstream file("/proc/sys/net/" + name);
  file << (on ? "1" : "0") << std::flush;
  if (!file) return fail(Fault::internal, "cannot write /proc/sys/net/{}", name);
  return {};
}

/// The lines for ip(8) that concern one address family.
std::string family_lines(const World& world, bool v4) {
  std::string lines;
  for (const Ip& address : world.local)
    if (is_v4(address) == v4)
      lines += fmt::format("addr add {}/{} dev lo\n", model::to_text(address), v4 ? "32" : "128 nodad");
  for (const Neighbor& n : world.neighbors) {
    if (is_v4(n.address) != v4) continue;
    const std::string& dev = world.interfaces[n.interface].name;
    const std::string address = model::to_text(n.address);
    lines += fmt::format("route add {} dev {}{}\n", address, dev, mtu_words(n.mtu));
    if (n.resolved)
      lines += fmt::format("neigh add {} lladdr {} dev {} nud permanent\n", address, mac_words(n.mac), dev);
  }
  for (const PrefixRoute& route : world.routes) {
    if (is_v4(route.prefix.address) != v4) continue;
    const std::string prefix = fmt::format("{}/{}", model::to_text(route.prefix.address), route.prefix.length);
    if (route.unreachable) {
      lines += fmt::format("route add unreachable {}\n", prefix);
      continue;
    }
    const std::string via = route.gateway ? fmt::format(" via {}", model::to_text(*route.gateway)) : "";
    lines += fmt::format("route add {}{} dev {}{}{}\n", prefix, via, world.interfaces[route.interface].name,
                         route.gateway ? " onlink" : "", mtu_words(route.mtu));
  }
  return lines;
}

}  // namespace

Result<> enter_kernel_world(const World& world) {
  if (unshare(CLONE_NEWNET) != 0)
    return fail(Fault::internal, "cannot make a network namespace: {}; run as root", std::strerror(errno));
  std::string links = "link set lo up\n";
  for (const Interface& i : world.interfaces) {
    const std::string peer = fmt::format("peer{}", i.ifindex);
    links += fmt::format("link add {} index {} mtu {} address {} type veth peer name {}\n", i.name, i.ifindex, i.mtu,
                         mac_words(i.mac), peer);
    links += fmt::format("link set {} up\nlink set {} up\n", peer, i.name);
  }
  if (auto made = ip_batch("", links); !made) return made;
  for (const char* name : {"ipv4/ip_forward", "ipv6/conf/all/forwarding"})
    if (auto set = set_sysctl(name, world.forwarding); !set) return set;
  if (auto made = ip_batch("-4", family_lines(world, true)); !made) return made;
  return ip_batch("-6", family_lines(world, false));
}

}  // namespace weir::lbsim

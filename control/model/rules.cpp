// SPDX-License-Identifier: Apache-2.0
#include "control/model/rules.hpp"

#include <bit>
#include <cstring>
#include <set>
#include <tuple>

#include "control/model/text.hpp"

namespace weir::model {
namespace {

constexpr u32 fewest_rows = 1U << 8;
constexpr u32 most_rows = 1U << 20;
// RFC 9293, 3.7.1: 536 is what every IPv4 host takes. 65495 is what fits into the longest IPv4 datagram.
constexpr u32 least_mss = 536;
constexpr u32 most_mss = 65495;
constexpr u32 longest_window = 7 * 24 * 3600;  // seconds; a flow or a drain that has lasted a week is a mistake
constexpr u32 shortest_source4 = 8;
constexpr u32 shortest_source6 = 32;

/// Why no server and no VIP can have this address; empty when it can.
std::string address_fault(const Ip& ip) {
  u8 byte[16];
  std::memcpy(byte, ip.word, sizeof byte);
  if (is_v4(ip)) {
    const u32 address = to_host(Be32{ip.word[3]});
    if (byte[12] == 0) return "unspecified";                     // RFC 1122, 3.2.1.3: 0.0.0.0/8
    if (byte[12] == 127) return "loopback";                      // RFC 1122, 3.2.1.3
    if (byte[12] >= 224 && byte[12] <= 239) return "multicast";  // RFC 5771
    if (address == 0xffffffffU) return "broadcast";
    return "";
  }
  if (ip == Ip{}) return "unspecified";
  if (ip == Ip{{0, 0, 0, __builtin_bswap32(1)}}) return "loopback";
  if (byte[0] == 0xff) return "multicast";
  return "";
}

std::string host_fault(const Ip& address) {
  const std::string kind = address_fault(address);
  return kind.empty() ? ""
                      : fmt::format("{} is a {} address; write an address that one host has", to_text(address), kind);
}

/// What is wrong with a backend's port, given its service's.
std::string port_fault(const Service& service, u16 port) {
  const u16 vip_port = service.vip.port;
  if (vip_port == 0 && port != 0)
    return fmt::format("port {} under the VIP's port 0 (every port): the client's port is kept; write port 0", port);
  if (service.mode != Mode::nat && port != vip_port)
    return fmt::format("port {} differs from the VIP's port {}; {} does not rewrite ports, so both must be equal", port,
                       vip_port, to_text(service.mode));
  if (vip_port != 0 && port == 0)
    return fmt::format(
        "port 0 keeps the client's port, which is for a VIP with port 0 (every port); this VIP has port "
        "{}: write the server's port",
        vip_port);
  return "";
}

/// Why no tunnel can be made to a backend of this address; empty when one can.
std::string tunnel_fault(Mode mode, const Ip& backend, const Tunnel& tunnel) {
  const bool v4 = is_v4(backend);
  if (!is_tunnel(mode) || (v4 ? tunnel.source4 : tunnel.source6)) return "";
  return fmt::format(
      "mode {} to the IPv{} backend {} needs tunnel.source{}, the prefix of its outer source addresses; "
      "write for example {} under [tunnel] in the configuration file and restart lbd",
      to_text(mode), v4 ? 4 : 6, to_text(backend), v4 ? 4 : 6,
      v4 ? "source4 = \"198.18.0.0/16\"" : "source6 = \"2001:db8:e::/64\"");
}

/// Why a span of time cannot be `seconds`, at least `least`; empty when it can.
std::string window_fault(std::string_view what, u32 seconds, u32 least) {
  if (seconds >= least && seconds <= longest_window) return "";
  return fmt::format("{} {} is outside {}..{}", what, duration_text(seconds), duration_text(least),
                     duration_text(longest_window));
}

std::string drain_fault(const Backend& backend) {
  if (!backend.drain) return "";
  const Drain& drain = *backend.drain;
  if (backend.admin != Admin::draining)
    return fmt::format("terms of a drain go with admin draining, and the backend is {}", to_text(backend.admin));
  if (drain.force_after && drain.deadline == 0)
    return "force-after ends flows at the deadline, and the drain has none; give a deadline";
  if (std::string why = window_fault("deadline", drain.deadline, 0); !why.empty()) return why;
  return window_fault("watch", drain.watch, 0);
}

/// The rules for one backend in its service; Field::whole means that it breaks none.
std::pair<Field, std::string> backend_fault(const Service& service, const Backend& backend, const Tunnel& tunnel) {
  if (std::string why = name_fault(backend.name); !why.empty())
    return {Field::name, fmt::format("the name \"{}\" {}", backend.name, why)};
  if (std::string why = host_fault(backend.endpoint.address); !why.empty()) return {Field::address, why};
  if (!is_tunnel(service.mode) && is_v4(backend.endpoint.address) != is_v4(service.vip.address))
    return {Field::address,
            fmt::format("address {} is not of the VIP's family ({}); {} does not translate between IPv4 and IPv6",
                        to_text(backend.endpoint.address), to_text(service.vip.address), to_text(service.mode))};
  if (backend.endpoint.address == service.vip.address)
    return {Field::address, fmt::format("address {} is the VIP itself; write the server's own address",
                                        to_text(backend.endpoint.address))};
  if (std::string why = port_fault(service, backend.endpoint.port); !why.empty()) return {Field::address, why};
  if (std::string why = tunnel_fault(service.mode, backend.endpoint.address, tunnel); !why.empty())
    return {Field::address, why};
  if (backend.weight > max_weight)
    return {Field::weight, fmt::format("weight {} is outside 0..{}", backend.weight, max_weight)};
  if (std::string why = drain_fault(backend); !why.empty()) return {Field::drain, why};
  return {};
}

}  // namespace

std::optional<Breach> breach_of(const Service& service, const Tunnel& tunnel) {
  const auto breach = [&](std::optional<std::size_t> backend, Field field, std::string message) {
    return Breach{service.name, backend, field, Error{Fault::invalid, std::move(message)}};
  };
  if (std::string why = name_fault(service.name); !why.empty())
    return breach({}, Field::name, fmt::format("the service name \"{}\" {}", service.name, why));
  if (std::string why = host_fault(service.vip.address); !why.empty())
    return breach({}, Field::vip, fmt::format("{}: VIP {}: {}", service.name, vip_text(service), why));
  if (!std::has_single_bit(service.rows) || service.rows < fewest_rows || service.rows > most_rows)
    return breach({}, Field::rows,
                  fmt::format("{}: rows {} is not a power of two from {} to {}", service.name, service.rows,
                              fewest_rows, most_rows));
  if (service.mss != 0 && (service.mss < least_mss || service.mss > most_mss))
    return breach({}, Field::mss,
                  fmt::format("{}: mss {} is outside {}..{}; 0 leaves it as clients and servers announce it",
                              service.name, service.mss, least_mss, most_mss));
  for (const auto& [field, what, seconds] :
       {std::tuple{Field::settle, "settle", service.settle}, std::tuple{Field::idle, "idle", service.idle},
        std::tuple{Field::idle_closing, "idle-closing", service.idle_closing}})
    if (std::string why = window_fault(what, seconds, 1); !why.empty())
      return breach({}, field, fmt::format("{}: {}", service.name, why));
  std::set<std::string_view> names;
  std::set<std::tuple<u32, u32, u32, u32, u16>> endpoints;
  for (std::size_t i = 0; i < service.backends.size(); ++i) {
    const Backend& backend = service.backends[i];
    if (auto [field, why] = backend_fault(service, backend, tunnel); !why.empty())
      return breach(i, field, fmt::format("{}/{}: {}", service.name, backend.name, why));
    if (!names.insert(backend.name).second)
      return breach(i, Field::name,
                    fmt::format("{}/{}: there are two backends of this name; rename one", service.name, backend.name));
    const auto& [address, port] = backend.endpoint;
    if (!endpoints.emplace(address.word[0], address.word[1], address.word[2], address.word[3], port).second)
      return breach(i, Field::address,
                    fmt::format("{}/{}: {} is there twice in this service; remove one", service.name, backend.name,
                                to_text(backend.endpoint)));
  }
  return {};
}

std::string tunnel_source_fault(const Prefix& prefix, bool v4) {
  const u32 shortest = v4 ? shortest_source4 : shortest_source6;
  if (is_v4(prefix.address) != v4)
    return fmt::format("{} is not an IPv{} prefix; write for example {}", to_text(prefix), v4 ? 4 : 6,
                       v4 ? "198.18.0.0/16" : "2001:db8:e::/64");
  if (prefix.length < shortest)
    return fmt::format("{} is shorter than /{}; outer sources need a prefix of /{} to /{}", to_text(prefix), shortest,
                       shortest, v4 ? 32 : 128);
  std::string kind = address_fault(prefix.address);
  // RFC 1112, 4: hosts discard datagrams from 240.0.0.0/4.
  if (kind.empty() && v4 && to_host(Be32{prefix.address.word[3]}) >> 28 == 15) kind = "reserved";
  if (!kind.empty())
    return fmt::format("{} holds {} addresses, from which no host takes packets; write a prefix of your own",
                       to_text(prefix), kind);
  return "";
}

Usage& Usage::operator+=(const Usage& other) {
  services += other.services;
  backends += other.backends;
  rows += other.rows;
  return *this;
}

Usage& Usage::operator-=(const Usage& other) {
  services -= other.services;
  backends -= other.backends;
  rows -= other.rows;
  return *this;
}

Usage usage_of(const Service* service) {
  if (service == nullptr) return {};
  return {1, service->backends.size(), service->rows};
}

std::optional<Error> over_limit(const Usage& usage, const Limits& limits) {
  const auto check = [](u64 used, u32 limit, std::string_view key) -> std::optional<Error> {
    if (used <= limit) return {};
    return Error{Fault::conflict,
                 fmt::format("{} {} are more than limits.{} = {}; raise it in the configuration file and restart lbd",
                             used, key, key, limit)};
  };
  if (auto error = check(usage.services, limits.services, "services")) return error;
  if (auto error = check(usage.backends, limits.backends, "backends")) return error;
  return check(usage.rows, limits.rows, "rows");
}

}  // namespace weir::model

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

std::string endpoint_fault(const Endpoint& endpoint) {
  const std::string kind = address_fault(endpoint.address);
  if (!kind.empty())
    return fmt::format("{} is a {} address; write an address that one host has", to_text(endpoint.address), kind);
  if (endpoint.port == 0) return "port 0 is not a port; write 1 to 65535";
  return "";
}

/// The rules for one backend in its service; Field::whole means that it breaks none.
std::pair<Field, std::string> backend_fault(const Service& service, const Backend& backend) {
  if (std::string why = name_fault(backend.name); !why.empty())
    return {Field::name, fmt::format("the name \"{}\" {}", backend.name, why)};
  if (std::string why = endpoint_fault(backend.endpoint); !why.empty()) return {Field::address, why};
  if (is_v4(backend.endpoint.address) != is_v4(service.vip.address))
    return {Field::address,
            fmt::format("address {} is not of the VIP's family ({}); {} does not translate between IPv4 and IPv6",
                        to_text(backend.endpoint.address), to_text(service.vip.address), to_text(service.mode))};
  if (backend.endpoint.address == service.vip.address)
    return {Field::address, fmt::format("address {} is the VIP itself; write the server's own address",
                                        to_text(backend.endpoint.address))};
  if (service.mode == Mode::l2dsr && backend.endpoint.port != service.vip.port)
    return {Field::address,
            fmt::format("port {} differs from the VIP's port {}; l2dsr does not rewrite ports, so both must be equal",
                        backend.endpoint.port, service.vip.port)};
  if (backend.weight > max_weight)
    return {Field::weight, fmt::format("weight {} is outside 0..{}", backend.weight, max_weight)};
  return {};
}

}  // namespace

std::optional<Breach> breach_of(const Service& service) {
  const auto breach = [&](std::optional<std::size_t> backend, Field field, std::string message) {
    return Breach{service.name, backend, field, Error{Fault::invalid, std::move(message)}};
  };
  if (std::string why = name_fault(service.name); !why.empty())
    return breach({}, Field::name, fmt::format("the service name \"{}\" {}", service.name, why));
  if (std::string why = endpoint_fault(service.vip); !why.empty())
    return breach({}, Field::vip, fmt::format("{}: VIP {}: {}", service.name, vip_text(service), why));
  if (!std::has_single_bit(service.rows) || service.rows < fewest_rows || service.rows > most_rows)
    return breach({}, Field::rows,
                  fmt::format("{}: rows {} is not a power of two from {} to {}", service.name, service.rows,
                              fewest_rows, most_rows));
  std::set<std::string_view> names;
  std::set<std::tuple<u32, u32, u32, u32, u16>> endpoints;
  for (std::size_t i = 0; i < service.backends.size(); ++i) {
    const Backend& backend = service.backends[i];
    if (auto [field, why] = backend_fault(service, backend); !why.empty())
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

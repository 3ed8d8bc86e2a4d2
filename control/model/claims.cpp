// SPDX-License-Identifier: Apache-2.0
#include "control/model/claims.hpp"

#include <string_view>
#include <unordered_set>

#include "control/model/text.hpp"

namespace weir::model {

std::size_t Claims::Hash::operator()(const Key& key) const {
  u64 hash = (u64{key.endpoint.port} << 8) | static_cast<u64>(key.protocol);
  for (const u32 word : key.endpoint.address.word) hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;  // Fibonacci hashing
  return hash ^ (hash >> 32);
}

std::optional<Breach> Claims::conflict(std::span<const Step> steps) const {
  std::unordered_set<std::string_view> moving;
  for (const Step& step : steps) moving.insert(step.name);
  Owners new_vips;
  Owners new_backends;
  // The owner other than `owner` that keeps or gets `key`; null when it is free.
  const auto taken = [&](const Owners& held, Owners& wanted, const Key& key, const Owner& owner) -> const Owner* {
    const auto old = held.find(key);
    if (old != held.end() && !moving.contains(old->second.service)) return &old->second;
    const auto [place, is_free] = wanted.try_emplace(key, owner);
    return is_free ? nullptr : &place->second;
  };
  Hosts new_hosts;
  // The other service's backend that keeps or gets `backend`'s address, where one of the two takes every port.
  const auto rival = [&](const Service& service, const Backend& backend) -> std::optional<Owner> {
    const Key host{{backend.endpoint.address, 0}, service.protocol};
    const bool every_port = backend.endpoint.port == 0;
    const auto held = nat_backends_.find(host);
    if (held != nat_backends_.end() && !moving.contains(held->second.service)) return held->second;
    const auto wanted = new_backends.find(host);
    if (wanted != new_backends.end() && wanted->second.service != service.name) return wanted->second;
    auto& tenants = new_hosts[host];
    if (const auto old = nat_hosts_.find(host); every_port && old != nat_hosts_.end())
      for (const auto& [name, first] : old->second)
        if (!moving.contains(name)) return Owner{name, first};
    for (const auto& [name, first] : tenants)
      if (every_port && name != service.name) return Owner{name, first};
    tenants.try_emplace(service.name, backend.name);
    return {};
  };
  const auto breach = [](const Step& step, std::optional<std::size_t> backend, std::string message) {
    return Breach{step.name, backend, backend ? Field::address : Field::vip,
                  Error{Fault::conflict, std::move(message)}};
  };
  for (const Step& step : steps) {
    if (!step.after) continue;
    const Service& service = *step.after;
    const std::string protocol = to_text(service.protocol);
    if (const Owner* other = taken(vips_, new_vips, {service.vip, service.protocol}, {service.name, ""}))
      return breach(
          step, {},
          fmt::format(
              "{}: {}/{} is already the VIP of service \"{}\"; one VIP, port and protocol belongs to one service",
              service.name, to_text(service.vip), protocol, other->service));
    if (service.mode != Mode::nat) continue;
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
      const Backend& backend = service.backends[i];
      const Key key{backend.endpoint, service.protocol};
      if (const Owner* other = taken(nat_backends_, new_backends, key, {service.name, backend.name}))
        return breach(step, i,
                      fmt::format("{}/{}: {}/{} is already backend {}/{}; two nat services cannot share a backend's "
                                  "address, port and protocol, because its answers could not be told apart; let the "
                                  "server listen on a second port or use l2dsr",
                                  service.name, backend.name, to_text(backend.endpoint), protocol, other->service,
                                  other->backend));
      if (const auto other = rival(service, backend))
        return breach(step, i,
                      fmt::format("{}/{}: {}/{} is the address of backend {}/{} as well; a nat backend with port 0 "
                                  "(every port) has its address and protocol for itself, because answers could not be "
                                  "told apart; use another address for one of them, or another mode",
                                  service.name, backend.name, to_text(backend.endpoint.address), protocol,
                                  other->service, other->backend));
    }
  }
  return {};
}

void Claims::apply(std::span<const Step> steps) {
  // All releases come first, so that two services may swap what they hold in one change.
  for (const Step& step : steps) {
    if (!step.before) continue;
    vips_.erase({step.before->vip, step.before->protocol});
    if (step.before->mode != Mode::nat) continue;
    for (const Backend& backend : step.before->backends) {
      nat_backends_.erase({backend.endpoint, step.before->protocol});
      const auto host = nat_hosts_.find({{backend.endpoint.address, 0}, step.before->protocol});
      if (host == nat_hosts_.end()) continue;
      host->second.erase(step.name);
      if (host->second.empty()) nat_hosts_.erase(host);
    }
  }
  for (const Step& step : steps) {
    if (!step.after) continue;
    const Service& service = *step.after;
    vips_.insert_or_assign({service.vip, service.protocol}, Owner{service.name, ""});
    if (service.mode != Mode::nat) continue;
    for (const Backend& backend : service.backends) {
      nat_backends_.insert_or_assign({backend.endpoint, service.protocol}, Owner{service.name, backend.name});
      nat_hosts_[{{backend.endpoint.address, 0}, service.protocol}].try_emplace(service.name, backend.name);
    }
  }
}

}  // namespace weir::model

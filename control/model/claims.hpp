// SPDX-License-Identifier: Apache-2.0
// Which endpoints are taken, so that a conflict between services is found without walking all of them.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "control/model/plan.hpp"
#include "control/model/rules.hpp"

namespace weir::model {

/// Three rules: an endpoint and protocol is the VIP of one service, and the NAT backend of one service; and a NAT
/// backend that takes every port (port 0) shares its address and protocol with no other service's NAT backend. The
/// last two stem from the way back: an answer's source (address, port, protocol) alone tells which VIP to put in its
/// place.
class Claims {
 public:
  /// The first endpoint that `steps` would take twice, or from a service that is not among them.
  [[nodiscard]] std::optional<Breach> conflict(std::span<const Step> steps) const;

  /// Releases what every `before` holds, then takes what every `after` wants.
  void apply(std::span<const Step> steps);

 private:
  struct Key {
    Endpoint endpoint;
    Protocol protocol = Protocol::tcp;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Owner {
    std::string service;
    std::string backend;  // empty: the VIP
  };
  using Owners = std::unordered_map<Key, Owner, Hash>;
  /// By address and protocol (port 0): the services with NAT backends there, and one backend of each.
  using Hosts = std::unordered_map<Key, std::map<std::string, std::string>, Hash>;

  Owners vips_;
  Owners nat_backends_;
  Hosts nat_hosts_;
};

}  // namespace weir::model

// SPDX-License-Identifier: Apache-2.0
// What a service must satisfy by itself, and how much of it fits; the rules between services are in claims.hpp.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "control/model/result.hpp"
#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::model {

/// The part of a service or backend that a rule is about; a reader of a file finds the line by it.
enum class Field : u8 { whole, name, vip, rows, mss, settle, idle, idle_closing, address, weight, drain };

/// A broken rule: where (a service's name and, for a backend, its index), and the sentence for the operator.
struct Breach {
  std::string service;
  std::optional<std::size_t> backend;
  Field field = Field::whole;
  Error error;
};

/// The first rule that `service` breaks by itself, on a host whose tunnels are set as in `tunnel`.
[[nodiscard]] std::optional<Breach> breach_of(const Service& service, const Tunnel& tunnel);

/// Why tunnels over IPv4 (or IPv6) cannot take their outer source addresses from `prefix`; empty when they can.
[[nodiscard]] std::string tunnel_source_fault(const Prefix& prefix, bool v4);

/// What is counted against Limits.
struct Usage {
  u64 services = 0;
  u64 backends = 0;
  u64 rows = 0;

  Usage& operator+=(const Usage& other);
  Usage& operator-=(const Usage& other);
};

/// What one service uses; nothing for null.
[[nodiscard]] Usage usage_of(const Service* service);

/// Names the limit that `usage` exceeds.
[[nodiscard]] std::optional<Error> over_limit(const Usage& usage, const Limits& limits);

}  // namespace weir::model

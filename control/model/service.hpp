// SPDX-License-Identifier: Apache-2.0
// What an operator asks for: plain values in the operator's terms, without ids, tables or kernel objects.
#pragma once

#include <string>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::model {

/// An address and a port (host byte order); 0 stands for every port.
struct Endpoint {
  Ip address{};
  u16 port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

inline constexpr u32 default_weight = 100;
inline constexpr u32 max_weight = 65535;
inline constexpr u32 default_rows = 65536;

/// One server in one service.
struct Backend {
  std::string name;  ///< unique in its service; [a-z0-9]([a-z0-9._-]*), at most 63 characters
  Endpoint endpoint;
  u32 weight = default_weight;  ///< 0..max_weight; 0 takes no new flows
  Admin admin = Admin::active;
  friend bool operator==(const Backend&, const Backend&) = default;

  /// The weight that the forwarding table is built with.
  [[nodiscard]] u32 effective_weight() const { return admin == Admin::active ? weight : 0; }
};

/// A VIP, a port and a protocol, and the backends behind them.
struct Service {
  std::string name;  ///< unique; same alphabet as a backend's
  Endpoint vip;
  Protocol protocol = Protocol::tcp;
  Mode mode = Mode::nat;
  HashOn hash = HashOn::five_tuple;
  u32 rows = default_rows;  ///< size of the forwarding table; a power of two, 2^8..2^20
  u32 mss = 0;              ///< greatest MSS that a SYN may announce, 536..65495; 0: not touched
  std::vector<Backend> backends;
  friend bool operator==(const Service&, const Service&) = default;

  [[nodiscard]] const Backend* find(const std::string& backend) const {
    for (const Backend& b : backends)
      if (b.name == backend) return &b;
    return nullptr;
  }
};

}  // namespace weir::model

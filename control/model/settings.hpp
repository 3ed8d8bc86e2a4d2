// SPDX-License-Identifier: Apache-2.0
// What an operator sets once per host, in the configuration file only; a change needs a restart of lbd.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::model {

/// How the XDP program is attached: native with a loud fall-back to generic, or exactly one of the two.
enum class Attach : u8 { automatic, native, generic };

/// Capacities of the tables, fixed when the tables are first created.
struct Limits {
  u32 services = 1024;         ///< at most 65536
  u32 backends = 65536;        ///< over all services; at most 2^20
  u32 rows = 8 * 1024 * 1024;  ///< over all services; 8 bytes each, at most 2^26
  u32 flows = 1024 * 1024;     ///< entries for remembered flows; rounded up to a power of two, 32 bytes each
  u32 embryos = 64 * 1024;     ///< entries for flows of which one packet has been seen; the same
  friend bool operator==(const Limits&, const Limits&) = default;
};

/// The secret that keys the flow hash and the forwarding tables; equal on all nodes of a cluster.
using Seed = std::array<u8, 16>;

/// An address prefix; `length` in bits of the address's own family.
struct Prefix {
  Ip address{};
  u32 length = 0;
  friend bool operator==(const Prefix&, const Prefix&) = default;
};

/// Outer headers of modes ipip and gue.
struct Tunnel {
  std::optional<Prefix> source4;  ///< outer IPv4 sources are taken from it, by the flow's hash; /8 to /32
  std::optional<Prefix> source6;  ///< the same for IPv6; /32 to /128, of which at most the last 32 bits vary
  u16 gue_port = 6080;            ///< UDP destination port; IANA's for GUE
  friend bool operator==(const Tunnel&, const Tunnel&) = default;
};

struct Settings {
  std::vector<std::string> interfaces;  ///< names; where traffic arrives and leaves
  Attach attach = Attach::automatic;
  std::optional<Seed> seed;  ///< absent: lbd makes one at first start and keeps it in its state directory
  Limits limits;
  Tunnel tunnel;
  u32 icmp_rate = 1000;        ///< ICMP messages that Weir itself sends, per second and CPU; 0 sends none
  std::string metrics_listen;  ///< "" or "ADDRESS:PORT" where GET /metrics is served over TCP as well
  friend bool operator==(const Settings&, const Settings&) = default;
};

}  // namespace weir::model

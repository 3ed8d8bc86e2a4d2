// SPDX-License-Identifier: Apache-2.0
// The host around the fast path, as plain values: interfaces, neighbours, routes. What lbd learns from netlink, lbsim
// reads from a file or invents.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "control/table/records.hpp"
#include "dataplane/core/pick.hpp"

namespace weir::lbsim {

struct Interface {
  std::string name;
  MacBits mac = 0;
  u32 mtu = 1500;        ///< longest IP datagram, in bytes
  u32 ifindex = 0;       ///< the same in both engines
  bool attached = true;  ///< `interfaces` of the configuration names it
};

/// A host on the wire of an interface; it brings a route to itself.
struct Neighbor {
  Ip address{};
  std::size_t interface = 0;  ///< index into World::interfaces
  MacBits mac = 0;
  bool resolved = true;  ///< false: it does not answer ARP or neighbour discovery
  u32 mtu = 0;           ///< of the route to it, in bytes; 0: the interface's
};

struct PrefixRoute {
  model::Prefix prefix;
  bool unreachable = false;
  std::optional<Ip> gateway;  ///< absent: on-link
  std::size_t interface = 0;
  u32 mtu = 0;  ///< in bytes; 0: the interface's
};

/// Where the routes lead.
struct Way {
  enum class Kind { none, rejected, local, unresolved, resolved };
  Kind kind = Kind::none;
  const Interface* interface = nullptr;  ///< set when unresolved or resolved
  MacBits mac = 0;                       ///< the next hop's, when resolved
  u32 mtu = 0;
};

/// Names of a flow's flags, in the order of their bits.
inline constexpr std::array<std::string_view, 6> flow_flag_names = {"known",       "udp",   "client-fin",
                                                                    "backend-fin", "reset", "killed"};

/// What all rows of a service are to hold, and how long its flows are remembered.
struct RowSetting {
  std::string service;
  RowState state = RowState::settled;
  std::string owner;   ///< a backend's name in the service; "": the first
  std::string stable;  ///< the same; "": the owner
  bool track_all = false;
  u32 idle = 10800;  ///< seconds
  u32 idle_closing = 60;
};

struct BackendSetting {
  std::string name;  ///< SERVICE/BACKEND
  BackendState state = BackendState::open;
};

/// A flow that is remembered when the run begins.
struct FlowSetting {
  std::string service;
  model::Endpoint source;
  u16 port = 0;  ///< of the VIP
  std::string backend;
  FlowKind kind = FlowKind::live;
  u64 flags = 0;
  u32 idle = 0;  ///< seconds since its last packet
};

struct World {
  std::vector<Interface> interfaces;
  std::vector<Neighbor> neighbors;
  std::vector<PrefixRoute> routes;
  std::vector<Ip> local;
  u32 headroom = 256;          ///< bytes in front of a frame, engine native
  std::optional<u32> answers;  ///< ICMP messages that Weir may send in this run; absent: any number
  bool forwarding = true;      ///< the kernel's forwarding between interfaces
  std::vector<std::string> tamper;
  std::vector<RowSetting> rows;
  std::vector<BackendSetting> backends;
  std::vector<FlowSetting> flows;

  /// Whether the run is to say what is remembered.
  [[nodiscard]] bool tells_flows() const { return !rows.empty() || !flows.empty(); }
  [[nodiscard]] const Interface* named(std::string_view name) const;
  [[nodiscard]] const Interface* indexed(u32 ifindex) const;
  [[nodiscard]] bool is_local(const Ip& address) const;
  /// The longest prefix wins, as in the kernel.
  [[nodiscard]] Way way_to(const Ip& address) const;
  /// The way to a backend; nothing when its next hop is not known or lies beyond an interface that is not attached.
  [[nodiscard]] table::Hop hop_of(const Ip& address) const;
  /// What bpf_fib_lookup would say to an answer of `length` bytes for `client`.
  [[nodiscard]] Route route_to(const Ip& client, u32 length) const;
};

/// Reads a world's TOML. `settings` says which interfaces are attached; all of them have to be in the world.
[[nodiscard]] Result<World> read_world(std::string_view text, const std::string& file_name,
                                       const model::Settings& settings);

/// A world for people who bring none: the configuration's interfaces; backends and a default gateway on the first.
/// `first_mac`, when given, is that interface's own.
[[nodiscard]] World invent_world(const config::Configuration& configuration, std::optional<MacBits> first_mac);

}  // namespace weir::lbsim

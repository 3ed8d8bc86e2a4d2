// SPDX-License-Identifier: Apache-2.0
// What an operator asks for: plain values in the operator's terms, without ids, tables or kernel objects.
#pragma once

#include <algorithm>
#include <optional>
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

/// Which flows of a service are remembered: those of rows that a change touches, or every one.
enum class Track : u8 { changes, all };

/// What becomes of a removed backend's flows: they stay with it until they end, their next packet picks another
/// backend, or both ends get a reset (UDP: their packets are dropped).
enum class OnRemove : u8 { keep, rehash, reset };

// Of a service, all in seconds.
inline constexpr u32 default_settle = 15 * 60;
inline constexpr u32 default_idle_closing = 60;
/// TCP: ssh, WebSocket and pooled connections are silent for an hour and more, and hosts probe them after two (RFC
/// 9293, 3.8.4).
[[nodiscard]] constexpr u32 default_idle(Protocol protocol) { return protocol == Protocol::tcp ? 3 * 3600 : 30; }
[[nodiscard]] constexpr OnRemove default_on_remove(Protocol protocol) {
  return protocol == Protocol::tcp ? OnRemove::keep : OnRemove::rehash;
}
inline constexpr u32 default_watch = 5;

/// How a backend is being drained; there is one exactly while its admin state is `draining`.
struct Drain {
  u64 started = 0;            ///< Unix seconds when it began
  u32 deadline = 0;           ///< seconds after `started`; 0: none
  bool then_remove = false;   ///< delete the backend once it is drained
  bool force_after = false;   ///< at the deadline, end the flows that remain; needs one
  u32 watch = default_watch;  ///< seconds that have to be watched before no remaining flow means drained
  friend bool operator==(const Drain&, const Drain&) = default;

  /// Whether the two ask for the same, whenever they began.
  [[nodiscard]] bool same_terms(const Drain& other) const {
    return deadline == other.deadline && then_remove == other.then_remove && force_after == other.force_after &&
           watch == other.watch;
  }
};

/// One server in one service.
struct Backend {
  std::string name;  ///< unique in its service; [a-z0-9]([a-z0-9._-]*), at most 63 characters
  Endpoint endpoint;
  u32 weight = default_weight;  ///< 0..max_weight; 0 takes no new flows
  Admin admin = Admin::active;
  std::optional<Drain> drain = {};
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
  Track track = Track::changes;
  OnRemove on_remove = OnRemove::keep;      ///< default_on_remove(protocol) where nobody says otherwise
  u32 settle = default_settle;              ///< seconds for which a changed row keeps the flows of its owner before
  u32 idle = default_idle(Protocol::tcp);   ///< seconds without a packet after which a remembered flow has ended
  u32 idle_closing = default_idle_closing;  ///< the same for a TCP flow after its first FIN or RST
  std::vector<Backend> backends;
  friend bool operator==(const Service&, const Service&) = default;

  [[nodiscard]] const Backend* find(const std::string& backend) const {
    for (const Backend& b : backends)
      if (b.name == backend) return &b;
    return nullptr;
  }

  /// `settle` in seconds as it counts: a UDP flow has no SYN, so one that is silent for `idle` is a new one.
  [[nodiscard]] u32 settle_window() const { return protocol == Protocol::udp ? std::min(settle, idle) : settle; }
};

}  // namespace weir::model

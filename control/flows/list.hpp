// SPDX-License-Identifier: Apache-2.0
// The remembered flows one by one: for listing, finding and ending them.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "dataplane/memory/table_memory.hpp"

namespace weir::flows {

/// Which flows are meant: those to which every field that is there applies. Ports in host byte order.
struct Filter {
  std::optional<u32> service, backend;  ///< ids
  std::optional<Protocol> protocol;
  std::optional<Ip> source, destination;
  std::optional<u16> source_port, destination_port;
};

enum class ConnState : u8 { fresh, established, closing, killed };
/// "new", "established", "closing", "killed".
[[nodiscard]] std::string_view to_text(ConnState state);

/// A remembered flow in words. Ports in host byte order.
struct Conn {
  u32 service = 0, backend = 0;  ///< ids
  Protocol protocol = Protocol::tcp;
  ConnState state = ConnState::fresh;
  Ip source{}, destination{};
  u16 source_port = 0, destination_port = 0;
  u32 idle = 0;  ///< ticks since its last packet
  u32 row = 0;   ///< of its service's forwarding table, from 0
};

/// A walk over the flow table that can be left and taken up again while the table changes. A flow that is there all the
/// time is seen at least once; one that is promoted meanwhile perhaps twice.
class Walk {
 public:
  /// Both memories outlive the walk.
  Walk(FlowMemory& flows, const TableMemory& tables, Filter filter) : flows_(flows), tables_(tables), filter_(filter) {}

  /// Looks at `buckets` more and hands the flows that are meant to `sink`. `now_tick` is the time, see tick_of(). False
  /// when there is nothing more to look at.
  bool step(u32 buckets, u32 now_tick, const std::function<void(const Conn&)>& sink);
  /// The same, and ends each of them with its next packet. Returns how many; `done` says whether there is more.
  u64 kill(u32 buckets, u32 now_tick, bool& done);

 private:
  bool advance(u32 buckets, const std::function<void(FlowEntry&)>& visit);

  FlowMemory flows_;
  TableMemory tables_;
  Filter filter_;
  u64 next_ = 0;  // bucket: those of the nursery first, as in Sweep
};

/// The flows that are meant, all at once.
[[nodiscard]] u64 count(FlowMemory& flows, const TableMemory& tables, const Filter& filter, u32 now_tick);
/// Ends the flows that are meant: their clients' next packets are answered with a RST (UDP: dropped). How many.
u64 kill(FlowMemory& flows, const TableMemory& tables, const Filter& filter, u32 now_tick);
/// One flow by its 5-tuple, without a walk. Ports in host byte order.
[[nodiscard]] std::optional<Conn> find(FlowMemory& flows, const TableMemory& tables, u32 service, const Ip& source,
                                       u16 source_port, u16 destination_port, u32 now_tick);

}  // namespace weir::flows

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a packet asks of the flow table, and when a remembered flow counts as over.
#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/tables.hpp"

namespace weir {

// What an engine's tables must offer beside what pick.hpp lists, as a type `T`. A verb returns null when there is no
// such record.
//   FlowSizes     flow_sizes()
//   FlowBucket*   embryos(u32 bucket)
//   FlowBucket*   flows(u32 bucket)
//   GhostLine*    ghosts(u32 line)
//   FlowCounters* flow_counters(u32 service)   of the CPU that runs
//   u32           tick()                       the time, see tick_of
//   u64           recall(FlowQuery&)           recall_flow(*this, query), perhaps out of line
//   u64           consult(FlowQuery&)          consult_flow(*this, query), likewise
//   void          note(const FlowKey&, u8)     note_answer(*this, key, flags), likewise
//   void          report(const EndedFlow&)     tells the control plane that a RST went to the client

/// A flow whose client has been told that it has ended, so that its backend can be told as well.
struct EndedFlow {
  Ip source;
  u32 ports;  // as in Packet
  u32 service_id;
  u32 sequence;  // network byte order: of the packet that was answered, so what the backend expects next
  u32 ingress;   // index of the interface that it came from
};

/// What a packet asks of the flow table.
struct FlowQuery {
  FlowKey key;
  Row row;
  u64 timeouts;  // as in Service
  u32 packet;    // query_* below
  u32 reserved;
};
// The packet's TCP flags are the low byte.
inline constexpr u32 query_fin = 0x01;
inline constexpr u32 query_syn = 0x02;
inline constexpr u32 query_rst = 0x04;
inline constexpr u32 query_ack = 0x10;
inline constexpr u32 query_udp = 0x100;
inline constexpr u32 query_track_all = 0x200;

LB_INLINE constexpr bool opens(u32 packet) {
  return (packet & (query_syn | query_ack | query_rst | query_udp)) == query_syn;
}

/// What recall_flow returns: the backend in the low half, and whether the operator has ended the flow.
inline constexpr u64 recalled_ended = u64{1} << 32;
LB_INLINE constexpr u32 recalled_backend(u64 recalled) { return static_cast<u32>(recalled); }

inline constexpr u32 embryo_idle = ticks_of_seconds(64);  // a SYN's last retransmission comes 63 s after it (RFC 6298)

/// Whether the flow needs no backend any more: reset, or closed from both sides.
LB_INLINE constexpr bool is_finished(u64 word) {
  return (word & flow_reset) != 0 ||
         (word & (flow_client_fin | flow_backend_fin)) == (flow_client_fin | flow_backend_fin);
}
/// Whether the flow has been silent for so long that it counts as gone.
LB_INLINE constexpr bool is_expired(u64 word, u64 timeouts, u32 now) {
  const u32 age = age_of(flow_tick(word), now);
  // An ended flow is held for as long as its client may still send: forgotten, it would go on.
  const bool is_closing = (word & (flow_client_fin | flow_backend_fin | flow_reset)) != 0 && (word & flow_killed) == 0;
  if (is_closing) return age > timeout_closing(timeouts);
  if (flow_kind(word) == FlowKind::embryo && (word & (flow_known | flow_udp)) == 0) return age > embryo_idle;
  return age > timeout_idle(timeouts);
}

}  // namespace weir

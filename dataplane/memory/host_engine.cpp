// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/host_engine.hpp"

#include <cstring>
#include <memory>
#include <utility>

#include "dataplane/core/icmp.hpp"
#include "dataplane/core/mss.hpp"
#include "dataplane/core/reset.hpp"
#include "dataplane/core/rewrite.hpp"

namespace weir {

HostEngine::HostEngine(const TableMemory& memory, RouteFunction route, std::function<bool()> allow_answer,
                       MemoryFlows flows)
    : tables_(memory, std::move(route), std::move(allow_answer), std::move(flows)) {}

namespace {

/// A frame with room in front, as an engine's frames have it.
struct RoomyFrame : Frame {
  u8* room;

  bool prepend(u32 bytes) {
    if (static_cast<std::size_t>(begin - room) < bytes) return false;
    begin -= bytes;
    return true;
  }
  bool trim(u32 bytes) {
    end = begin + bytes;
    return true;
  }
};

struct Sender {
  RoomyFrame& frame;
  const MemoryTables& tables;
  u32 ingress;
  Outcome& outcome;

  template <class T>
  Verdict operator()(const T& t) const {
    if (t.mss) clamp_mss(frame, t.packet.transport, t.mss);
    const u32 room = room_for(t);
    if (!frame.prepend(room)) return Verdict::no_headroom;
    outcome.egress = t.egress.ifindex;
    outcome.service_id = t.service_id;
    outcome.backend_id = t.backend_id;
    outcome.row = t.row;
    return rewrite(frame, t, present_tunnel(*tables.globals()), room);
  }
  template <class Net>
  Verdict operator()(const TooBig<Net>& request) const {
    outcome.egress = ingress;
    return reply_too_big(frame, tables, request, ingress);
  }
  template <class Net>
  Verdict operator()(const Reset<Net>& request) const {
    outcome.egress = ingress;
    outcome.service_id = request.service_id;
    return reply_reset(frame, tables, request, ingress);
  }
  template <class Net>
  Verdict operator()(const ControlMessage<Net>& message) const {
    outcome.egress = ingress;
    return decide_icmp(frame, tables, message, ingress, *this);
  }
};

}  // namespace

Outcome HostEngine::run(std::span<const u8> frame, u32 ingress, u32 headroom) const {
  // An allocation of just this size, so that AddressSanitizer sees a byte beyond it.
  const std::size_t length = headroom + frame.size();
  const std::unique_ptr<u8[]> buffer(new u8[length]);
  std::memset(buffer.get(), headroom_pattern, headroom);
  if (!frame.empty()) std::memcpy(buffer.get() + headroom, frame.data(), frame.size());
  RoomyFrame view{{buffer.get() + headroom, buffer.get() + length}, buffer.get()};
  Outcome outcome;
  outcome.verdict = decide(view, tables_, ingress, Sender{view, tables_, ingress, outcome});
  if (action_of(outcome.verdict) != Action::transmit) outcome.egress = 0;
  outcome.frame.assign(view.begin, view.end);
  return outcome;
}

}  // namespace weir

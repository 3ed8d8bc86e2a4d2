// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The XDP engine: decide() on a frame, make room, rewrite it, count it, send it on. What only some packets need stands
// in functions and a program of its own, so that the kernel proves it apart from the rest. The path of most packets
// calls no function: where a host's CPU needs "safe RET" (AMD's return stack, CVE-2023-20569), each return costs 14 ns
// of the 27 that an empty program takes there.
#include "bpf/tables.bpf.hpp"
#include "dataplane/core/decide.hpp"
#include "dataplane/core/icmp.hpp"
#include "dataplane/core/mss.hpp"
#include "dataplane/core/rewrite.hpp"

// Plain types only in the global functions: see weir_forget.
extern "C" {
weir::u32 weir_too_big(xdp_md* context, weir::u32 where, weir::u32 length, weir::u32 mtu, weir::u32 service);
weir::u32 weir_clamp(xdp_md* context, weir::u32 transport, weir::u32 mss);
}

namespace weir::bpf {

/// What becomes of a frame besides its verdict: the XDP action if it is sent, and the bytes to count.
struct Fate {
  u32 action;
  u32 bytes;
};

LB_INLINE void add(Counters* counters, u32 bytes, bool forward, bool syn) {
  if (!counters) return;
  if (forward) {
    counters->packets += 1;
    counters->bytes += bytes;
    if (syn) counters->connections += 1;
  } else {
    counters->return_packets += 1;
    counters->return_bytes += bytes;
  }
}

/// An offset of an IP header and its family in one argument of a global function.
inline constexpr u32 is_v6 = 0x100;
template <class Request>
LB_INLINE u32 place_of(const Request& request) {
  return request.network | (Request::Network::v6 ? is_v6 : 0);
}

/// Rewrites, counts and chooses the way out for a packet that is to be sent.
struct Sender {
  const XdpFrame& frame;
  const KernelTables& tables;
  Fate& fate;

  template <class T>
  LB_INLINE Verdict operator()(const T& t) const {
    if (t.mss) weir_clamp(frame.context, t.packet.transport, t.mss);
    const u32 room = room_for(t);
    Verdict verdict = t.verdict;
    if constexpr (T::how == How::encapsulate) {
      XdpFrame longer(frame.context);
      if (!longer.prepend(room)) return Verdict::no_headroom;
      verdict = rewrite(longer, t, present_tunnel(*tables.globals()), room);
    } else {
      verdict = rewrite(frame, t, present_tunnel(*tables.globals()), room);
    }
    if (verdict != t.verdict) return verdict;
    constexpr bool forward = T::how != How::untranslate;
    fate.bytes = t.packet.end;
    add(lookup<Counters>(weir_svc_stats, t.service_id), fate.bytes, forward, t.packet.syn);
    add(lookup<Counters>(weir_be_stats, t.backend_id), fate.bytes, forward, t.packet.syn);
    fate.action = t.egress.ifindex == frame.context->ingress_ifindex
                      ? u32{XDP_TX}
                      : static_cast<u32>(redirect_map(&weir_devices, hop_port(t.hop), XDP_DROP));
    return verdict;
  }

  template <class Net>
  LB_INLINE Verdict operator()(const TooBig<Net>& request) const {
    fate.action = XDP_TX;
    return static_cast<Verdict>(
        weir_too_big(frame.context, place_of(request), request.length, request.mtu, request.service_id));
  }

  // Goes on in weir_control, with a stack of its own. Where it returns, there is no such program: a loader's mistake.
  template <class Net>
  LB_INLINE Verdict operator()(const ControlMessage<Net>&) const {
    tail_call(frame.context, &weir_programs, control_program);
    return Verdict::internal_table;
  }
};

LB_INLINE u8* image() { return lookup<u8>(weir_tables, 0); }

template <class Net>
LB_INLINE Verdict tell_too_big(xdp_md* context, u8* tables_image, const TooBig<Net>& request) {
  XdpFrame frame(context);
  return reply_too_big(frame, KernelTables{context, tables_image}, request, context->ingress_ifindex);
}

/// Counts a frame and returns its XDP action.
LB_INLINE int conclude(Verdict verdict, const Fate& fate) {
  if (auto* counters = lookup<VerdictCounters>(weir_verdicts, static_cast<u32>(verdict))) {
    counters->packets += 1;
    counters->bytes += fate.bytes;
  }
  switch (action_of(verdict)) {
    case Action::pass:
      return XDP_PASS;
    case Action::transmit:
      return static_cast<int>(fate.action);
    case Action::drop:
      break;
  }
  return XDP_DROP;
}

LB_INLINE int run(xdp_md* context) {
  const XdpFrame frame(context);
  Fate fate{XDP_DROP, static_cast<u32>(frame.end - frame.begin)};
  u8* const tables_image = image();
  if (!tables_image) return XDP_DROP;  // cannot be: element 0 of an array map of one element
  const KernelTables tables{context, tables_image};
  return conclude(decide(frame, tables, context->ingress_ifindex, Sender{frame, tables, fate}), fate);
}

template <class Net>
LB_INLINE int control(xdp_md* context, const XdpFrame& frame, u8* tables_image, u32 network) {
  const KernelTables tables{context, tables_image};
  Fate fate{XDP_TX, static_cast<u32>(frame.end - frame.begin)};
  return conclude(
      decide_icmp(frame, tables, ControlMessage<Net>{network}, context->ingress_ifindex, Sender{frame, tables, fate}),
      fate);
}

/// Goes on with a frame that decide() has found to be a control message.
LB_INLINE int run_control(xdp_md* context) {
  const XdpFrame frame(context);
  u8* const tables_image = image();
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  if (!tables_image || !ethernet) return XDP_DROP;
  const Link link = parse_link(frame, *ethernet);
  return link.type == ether_type::ipv6 ? control<V6>(context, frame, tables_image, link.network)
                                       : control<V4>(context, frame, tables_image, link.network);
}

}  // namespace weir::bpf

/// Answers a packet of `length` bytes whose IP header is at `where`; `service` as in TooBig. Returns the verdict.
extern "C" [[gnu::noinline]] weir::u32 weir_too_big(xdp_md* context, weir::u32 where, weir::u32 length, weir::u32 mtu,
                                                    weir::u32 service) {
  using namespace weir;
  u8* const tables = bpf::image();
  if (!tables) return static_cast<u32>(Verdict::internal_table);
  const u32 network = where & network_mask;
  const Verdict verdict = where & bpf::is_v6
                              ? bpf::tell_too_big(context, tables, TooBig<V6>{network, length, mtu, service})
                              : bpf::tell_too_big(context, tables, TooBig<V4>{network, length, mtu, service});
  return static_cast<u32>(verdict);
}

/// Clamps the MSS that the TCP header at `transport` offers.
extern "C" [[gnu::noinline]] weir::u32 weir_clamp(xdp_md* context, weir::u32 transport, weir::u32 mss) {
  using namespace weir;
  const bpf::XdpFrame frame(context);
  clamp_mss(frame, transport & transport_mask, static_cast<u16>(mss));
  return 0;
}

extern "C" BPF_SECTION("xdp.frags") int weir_lb(xdp_md* context) { return weir::bpf::run(context); }
extern "C" BPF_SECTION("xdp.frags") int weir_control(xdp_md* context) { return weir::bpf::run_control(context); }

// The kernel knows no name for "Apache-2.0 OR GPL-2.0-only"; bpf_fib_lookup wants the second of the two.
BPF_SECTION("license") char weir_license[] = "GPL";

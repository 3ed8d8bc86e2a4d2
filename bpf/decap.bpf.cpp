// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// XDP program for backends: takes the outer headers of ipip and GUE off and hands the inner packet to the kernel, which
// needs no tunnel device for it.
#include "bpf/decap_inner.bpf.hpp"
#include "bpf/decap_maps.bpf.hpp"

// A global function is proved by itself, so its result is "any number" to the caller.
extern "C" [[gnu::noinline]] weir::u32 weir_forget(weir::u32 value) {
  asm volatile("" : "+r"(value));
  return value;
}

namespace weir::bpf {

/// A pointer that the context holds in the 4 bytes at `Offset`. Written in assembly: where clang 19 loads such a
/// pointer a second time it copies the lower half of the register, and the verifier then knows it for a number
/// ("invalid mem access 'scalar'").
template <unsigned Offset>
LB_INLINE u8* packet_pointer(xdp_md* context) {
  u64 pointer = 0;
  asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(pointer) : "r"(context), "i"(Offset));
  return reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(pointer));
}

/// The received frame as the core sees it. `end` bounds the part in the first buffer.
struct DecapFrame {
  xdp_md* context;
  u8* begin;
  u8* end;
  LB_INLINE explicit DecapFrame(xdp_md* c)
      : context(c),
        begin(packet_pointer<__builtin_offsetof(xdp_md, data)>(c)),
        end(packet_pointer<__builtin_offsetof(xdp_md, data_end)>(c)) {}
  LB_INLINE u32 length() const { return static_cast<u32>(frame_length(context)); }
  LB_INLINE u32 forget(u32 offset) const { return weir_forget(offset); }
};

/// What the operator has allowed.
struct MapSettings {
  LB_INLINE bool is_own(const OuterAddress& address) const { return map_lookup(&weir_own, &address) != nullptr; }
  LB_INLINE bool allows(const OuterAddress& source) const {
    const OuterPrefix key{outer_bits, source};
    return map_lookup(&weir_sources, &key) != nullptr;
  }
  LB_INLINE Be16 gue_port() const {
    const u32 key = 0;
    const auto* constants = static_cast<const DecapConstants*>(map_lookup(&weir_constants, &key));
    return constants ? constants->gue_port : Be16{0};
  }
};

/// The Ethernet header with its VLAN tags, while the frame's start moves.
struct LinkHeader {
  u64 macs0 = 0;
  u32 macs1 = 0;
  u32 tag[max_vlan_tags] = {};  // EtherType and control of each tag, memory order
  u32 tags = 0;

  template <class F>
  LB_INLINE bool load(const F& frame, u32 network) {
    const auto* first = header_at<MacWord0>(frame, 0);
    const auto* second = header_at<MacWord1>(frame, sizeof(MacWord0));
    if (!first || !second) return false;
    macs0 = first->raw;
    macs1 = second->raw;
    tags = (network - static_cast<u32>(sizeof(Ethernet))) / static_cast<u32>(sizeof(VlanTag));
    for (u32 i = 0; i < max_vlan_tags && i < tags; ++i) {
      const auto* word = header_at<WireWord32>(frame, mac_words_end + i * static_cast<u32>(sizeof(VlanTag)));
      if (!word) return false;
      tag[i] = word->raw;
    }
    return true;
  }

  template <class F>
  LB_INLINE bool store(const F& frame, Be16 type) const {
    auto* first = header_at<MacWord0>(frame, 0);
    auto* second = header_at<MacWord1>(frame, sizeof(MacWord0));
    if (!first || !second) return false;
    first->raw = macs0;
    second->raw = macs1;
    u32 at = mac_words_end;
    for (u32 i = 0; i < max_vlan_tags && i < tags; ++i) {
      auto* word = header_at<WireWord32>(frame, at);
      if (!word) return false;
      word->raw = tag[i];
      at += static_cast<u32>(sizeof(VlanTag));
    }
    auto* last = header_at<Be16>(frame, at);
    if (!last) return false;
    *last = type;
    return true;
  }
};

LB_INLINE DecapVerdict judge(const DecapFrame& frame, Outer& outer) {
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  if (!ethernet) return DecapVerdict::not_ip;
  if (ethernet->destination[0] & 1) return DecapVerdict::not_unicast;
  const Link link = parse_link(frame, *ethernet);
  outer.network = link.network;
  const MapSettings settings{};
  Stage stage = end_with(DecapVerdict::not_ip);
  if (link.type == ether_type::ipv4) stage = read_outer4(frame, settings, outer);
  if (link.type == ether_type::ipv6) stage = read_outer6(frame, settings, outer);
  if (stage.done) return stage.verdict;
  auto kind = DecapVerdict::unwrapped_ipip;
  stage = open_tunnel(frame, settings, outer, kind);
  if (stage.done) return stage.verdict;
  outer.transport = frame.forget(outer.transport) & transport_mask;
  return outer.protocol == ip_protocol::ipv4 ? enter4(frame, outer, kind) : enter6(frame, outer, kind);
}

/// Puts the Ethernet header in front of the inner packet.
LB_INLINE bool unwrap(xdp_md* context, const Outer& outer) {
  LinkHeader link;
  if (!link.load(DecapFrame(context), outer.network)) return false;
  if (adjust_head(context, static_cast<int>(outer.transport - outer.network)) != 0) return false;
  return link.store(DecapFrame(context), outer.protocol == ip_protocol::ipv4 ? ether_type::ipv4 : ether_type::ipv6);
}

LB_INLINE int decapsulate(xdp_md* context) {
  const u64 bytes = frame_length(context);
  Outer outer;
  DecapVerdict verdict = judge(DecapFrame(context), outer);
  if (decap_action_of(verdict) == DecapAction::unwrap && !unwrap(context, outer)) verdict = DecapVerdict::internal_move;
  const u32 index = static_cast<u32>(verdict);
  if (auto* counters = static_cast<VerdictCounters*>(map_lookup(&weir_counts, &index))) {
    counters->packets += 1;
    counters->bytes += bytes;
  }
  return decap_action_of(verdict) == DecapAction::drop ? XDP_DROP : XDP_PASS;
}

}  // namespace weir::bpf

extern "C" BPF_SECTION("xdp.frags") int weir_unwrap(xdp_md* context) { return weir::bpf::decapsulate(context); }

BPF_SECTION("license") char weir_license[] = "GPL";

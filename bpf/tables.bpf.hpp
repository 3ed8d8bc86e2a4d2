// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the core asks of an engine, as the XDP program has it: the frame, the tables, the host's routes, the budget.
#pragma once

#include "bpf/maps.hpp"
#include "dataplane/core/budget.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/pick.hpp"
#include "dataplane/core/wire.hpp"

// A global function is proved by itself, so its result is "any number" to the caller. Plain types only: clang's BTF for
// a reference parameter is refused by the kernel.
extern "C" [[gnu::noinline]] weir::u32 weir_forget(weir::u32 value) {
  asm volatile("" : "+r"(value));
  return value;
}

// The flow table, apart from the rest: see flows.bpf.hpp.
extern "C" {
weir::u64 weir_recall(const weir::FlowQuery* query);
weir::u64 weir_consult(const weir::FlowQuery* query);
weir::u32 weir_note(const weir::FlowKey* key, weir::u32 packet);
}

namespace weir::bpf {

/// The received frame as the core sees it. `end` bounds the part in the first buffer.
struct XdpFrame {
  xdp_md* context;
  u8* begin;
  u8* end;

  LB_INLINE explicit XdpFrame(xdp_md* c) : context(c) { look(); }
  LB_INLINE u32 length() const { return static_cast<u32>(frame_length(context)); }
  LB_INLINE u32 forget(u32 offset) const { return weir_forget(offset); }
  LB_INLINE bool prepend(u32 bytes) {
    if (adjust_head(context, -static_cast<int>(bytes)) != 0) return false;
    look();
    if (weir_fill_headroom)
      for (u32 i = 0; i < bytes; i += 4)
        if (auto* word = header_at<WireWord32>(*this, i)) word->raw = 0xa5a5a5a5;
    return true;
  }
  LB_INLINE bool trim(u32 bytes) {
    if (adjust_tail(context, static_cast<int>(bytes) - static_cast<int>(length())) != 0) return false;
    look();
    return true;
  }

 private:
  LB_INLINE void look() {
    begin = reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data));
    end = reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data_end));
  }
};

template <class Record, class Map>
LB_INLINE Record* lookup(Map& map, u32 key) {
  return static_cast<Record*>(map_lookup(&map, &key));
}

/// Record `index` of the `count` that stand at `table` bytes from the start of an image, or null.
template <class Record>
LB_INLINE Record* record_at(u8* image, u64 table, u32 index, u32 count) {
  u64 i = index;
  // The comparison must bound the very register that the address is made from, and before it is made: clang (14..22)
  // else compares a copy or computes the address first, and the verifier refuses: "unbounded memory access, make sure
  // to bounds check any such access".
  asm volatile("" : "+r"(i));
  if (i >= count) return nullptr;
  asm volatile("" : "+r"(i));
  return reinterpret_cast<Record*>(image + table + i * sizeof(Record));
}

/// The tables in the image, and the host's routes as the kernel's FIB.
struct KernelTables {
  xdp_md* context;
  u8* image;

  template <class Record>
  LB_INLINE const Record* at(u64 table, u32 index, u32 count) const {
    return record_at<const Record>(image, table, index, count);
  }
  LB_INLINE const Globals* globals() const { return reinterpret_cast<const Globals*>(image); }
  LB_INLINE const Port* port(u32 i) const { return at<Port>(weir_offsets.ports, i, port_count); }
  LB_INLINE const u64* filter(u32 i) const { return at<u64>(weir_offsets.filter, i, weir_sizes.filter); }
  LB_INLINE const u64* displacement(u32 i) const { return at<u64>(weir_offsets.buckets, i, weir_sizes.buckets); }
  LB_INLINE const IndexSlot* slot(u32 i) const { return at<IndexSlot>(weir_offsets.slots, i, weir_sizes.slots); }
  LB_INLINE const Service* service(u32 i) const { return at<Service>(weir_offsets.services, i, weir_sizes.services); }
  LB_INLINE const Backend* backend(u32 i) const { return at<Backend>(weir_offsets.backends, i, weir_sizes.backends); }
  LB_INLINE const Row* row(u32 i) const { return at<Row>(weir_offsets.rows, i, weir_sizes.rows); }

  LB_INLINE bool allow_answer() const {
    auto* budget = lookup<AnswerBudget>(weir_budget, 0);
    return budget && spend(*budget, load_once(globals()->icmp_rate), nanoseconds());
  }

  LB_INLINE FlowSizes flow_sizes() const {
    return {weir_flow_sizes.embryos, weir_flow_sizes.flows, weir_flow_sizes.ghosts};
  }
  LB_INLINE FlowBucket* embryos(u32 i) const {
    return flow_record<FlowBucket>(weir_flow_offsets.embryos, i, weir_flow_sizes.embryos);
  }
  LB_INLINE FlowBucket* flows(u32 i) const {
    return flow_record<FlowBucket>(weir_flow_offsets.flows, i, weir_flow_sizes.flows);
  }
  LB_INLINE GhostLine* ghosts(u32 i) const {
    return flow_record<GhostLine>(weir_flow_offsets.ghosts, i, weir_flow_sizes.ghosts);
  }
  // The clocks' helpers cost 14 and 30 ns where a function's return is slow; jiffies cost nothing.
  LB_INLINE u32 tick() const {
    if (weir_still_clock) {
      const auto* header = lookup<const FlowHeader>(weir_flows, 0);
      return header ? load_once(header->still_tick) : 0;
    }
    return tick_of((jiffies() - weir_first_jiffy) * weir_jiffy);
  }
  LB_INLINE u64 recall(const FlowQuery& query) const { return weir_recall(&query); }
  LB_INLINE u64 consult(const FlowQuery& query) const { return weir_consult(&query); }
  LB_INLINE void note(const FlowKey& key, u32 packet) const { weir_note(&key, packet); }
  LB_INLINE FlowCounters* flow_counters(u32 service) const { return lookup<FlowCounters>(weir_flow_stats, service); }
  LB_INLINE void report(const EndedFlow& flow) const { ringbuf_output(&weir_resets, &flow, sizeof(flow), 0); }

  template <class Net>
  LB_INLINE Route route(const Net& net, const Ip& from, u32 length) const {
    bpf_fib_lookup query = {};
    query.ifindex = context->ingress_ifindex;
    query.tot_len = static_cast<u16>(length);
    if constexpr (Net::v6) {
      query.family = 10;  // AF_INET6
      for (u32 i = 0; i < 4; ++i) {
        query.ipv6_src[i] = from.word[i];
        query.ipv6_dst[i] = net.destination[i].raw;
      }
    } else {
      query.family = 2;  // AF_INET
      query.ipv4_src = from.word[3];
      query.ipv4_dst = net.destination.raw;
    }
    return route_of(fib_lookup(context, &query, sizeof(query), 0), query);
  }

 private:
  template <class Record>
  LB_INLINE static Record* flow_record(u64 table, u32 index, u32 count) {
    u8* const flow_image = lookup<u8>(weir_flows, 0);
    return flow_image ? record_at<Record>(flow_image, table, index, count) : nullptr;
  }
  LB_INLINE Route route_of(long outcome, const bpf_fib_lookup& query) const {
    switch (outcome) {
      case BPF_FIB_LKUP_RET_FRAG_NEEDED:
        return {Verdict::too_big, 0, query.mtu_result};
      case BPF_FIB_LKUP_RET_SUCCESS: {
        const u32 index = port_index(query.ifindex);
        const Port* egress = port(index);
        if (!egress || egress->ifindex != query.ifindex) return {Verdict::client_egress_unattached, 0};
        const u64 mac = u64{query.dmac[0]} | u64{query.dmac[1]} << 8 | u64{query.dmac[2]} << 16 |
                        u64{query.dmac[3]} << 24 | u64{query.dmac[4]} << 32 | u64{query.dmac[5]} << 40;
        return {Verdict::returned_nat, hop_word(mac, index)};
      }
      case BPF_FIB_LKUP_RET_NO_NEIGH: {
        UnresolvedEvent event = {};
        // The kernel leaves the gateway (or the destination itself) in the query.
        if (query.family == 10) {
          for (u32 i = 0; i < 4; ++i) event.neighbor.word[i] = query.ipv6_dst[i];
        } else {
          event.neighbor = ip_from_v4({query.ipv4_dst});
        }
        event.ifindex = query.ifindex;
        ringbuf_output(&weir_events, &event, sizeof(event), 0);
        return {Verdict::client_no_neighbor, 0};
      }
      case BPF_FIB_LKUP_RET_NOT_FWDED:  // the host's own traffic with the backend, or nowhere to go: the kernel's
        return {Verdict::answer_not_forwarded, 0};
      case BPF_FIB_LKUP_RET_FWD_DISABLED:
        return {Verdict::client_forwarding_off, 0};
      default:
        return {Verdict::client_no_route, 0};
    }
  }
};

}  // namespace weir::bpf

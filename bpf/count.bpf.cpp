// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// XDP program of lbgen at a receiver: counts frames by protocol, TCP flags and destination port; hands them on, or
// drops the TCP and UDP ones among them.
#include "bpf/bpfxx.hpp"
#include "bpf/count_layout.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/parse.hpp"
#include "dataplane/core/wire.hpp"

struct weir_rows_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_HASH);
  BPF_MAP_NUMBER(max_entries, weir::bpf::count_rows);
  BPF_MAP_TYPE(key, weir::bpf::CountKey);
  BPF_MAP_TYPE(value, weir::bpf::CountRow);
};
BPF_SECTION(".maps") weir_rows_map weir_rows;

struct weir_total_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::bpf::CountTotal);
};
BPF_SECTION(".maps") weir_total_map weir_total;

// Set by the loader: whether counted TCP and UDP packets end here.
extern "C" {
extern const volatile __u32 weir_drop;
const volatile __u32 weir_drop = 0;
}

extern "C" [[gnu::noinline]] weir::u32 weir_forget(weir::u32 value) {
  asm volatile("" : "+r"(value));
  return value;
}

namespace weir::bpf {

struct CountFrame {
  u8* begin;
  u8* end;
  LB_INLINE explicit CountFrame(xdp_md* context)
      : begin(reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data))),
        end(reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data_end))) {}
  LB_INLINE u32 forget(u32 offset) const { return weir_forget(offset); }
};

LB_INLINE void read_transport(const CountFrame& frame, u32 at, CountKey& key) {
  if (key.protocol == static_cast<u8>(Protocol::udp)) {
    if (const auto* udp = header_at<Udp>(frame, at)) key.port = to_host(udp->destination);
  } else if (key.protocol == static_cast<u8>(Protocol::tcp)) {
    const auto* tcp = header_at<Tcp>(frame, at);
    if (!tcp) return;
    key.port = to_host(tcp->destination);
    key.flags = tcp->flags;
  }
}

LB_INLINE void read_key(const CountFrame& frame, CountKey& key) {
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  if (!ethernet) return;
  const Link link = parse_link(frame, *ethernet);
  u32 transport = link.network;
  bool later = false;
  if (link.type == ether_type::ipv4) {
    const auto* ip = header_at<Ipv4>(frame, link.network);
    if (!ip) return;
    key.family = 4;
    key.protocol = ip->protocol;
    transport += (ip->version_ihl & 15U) * 4;
    later = (to_host(ip->fragment) & ipv4_fragment_offset) != 0;
  } else if (link.type == ether_type::ipv6) {
    const auto* ip = header_at<Ipv6>(frame, link.network);
    if (!ip) return;
    key.family = 6;
    key.protocol = ip->next_header;
    transport += static_cast<u32>(sizeof(Ipv6));
  } else {
    return;
  }
  if (!later) read_transport(frame, frame.forget(transport) & transport_mask, key);
}

LB_INLINE void count(CountKey& key, u64 bytes, bool flow) {
  const u32 zero = 0;
  auto* total = static_cast<CountTotal*>(map_lookup(&weir_total, &zero));
  if (!total) return;
  if (flow) {
    const u64 now = coarse_nanoseconds();
    if (total->first == 0) total->first = now;
    total->last = now;
    total->packets += 1;
    total->bytes += bytes;
  } else {
    total->others += 1;
  }
  auto* row = static_cast<CountRow*>(map_lookup(&weir_rows, &key));
  if (!row) {
    const CountRow fresh{1, bytes};
    // Another CPU may have made the row meanwhile; it has a place for this CPU then.
    if (map_update(&weir_rows, &key, &fresh, BPF_NOEXIST) == 0) return;
    row = static_cast<CountRow*>(map_lookup(&weir_rows, &key));
    if (!row) {
      total->unlisted += 1;
      return;
    }
  }
  row->packets += 1;
  row->bytes += bytes;
}

LB_INLINE int count_frame(xdp_md* context) {
  const CountFrame frame(context);
  CountKey key{};
  read_key(frame, key);
  const bool flow = key.protocol == static_cast<u8>(Protocol::tcp) || key.protocol == static_cast<u8>(Protocol::udp);
  count(key, frame_length(context), flow);
  return flow && weir_drop ? XDP_DROP : XDP_PASS;
}

}  // namespace weir::bpf

extern "C" BPF_SECTION("xdp.frags") int weir_count(xdp_md* context) { return weir::bpf::count_frame(context); }

BPF_SECTION("license") char weir_license[] = "GPL";

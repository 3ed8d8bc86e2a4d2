// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// XDP program of lbgen: writes the next frame of its plan and sends it out. The kernel runs it over and over on frames
// that nobody has received (BPF_PROG_TEST_RUN with live frames). A frame comes back from where it was sent to with what
// the receivers have made of it, so every byte is written anew.
#include "bpf/bpfxx.hpp"
#include "bpf/generate_layout.hpp"
#include "dataplane/core/checksum.hpp"
#include "dataplane/core/cursor.hpp"
#include "dataplane/core/wire.hpp"

struct weir_generate_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::bpf::GenerateState);
};
BPF_SECTION(".maps") weir_generate_map weir_state;

namespace weir::bpf {

struct GenerateFrame {
  u8* begin;
  u8* end;
  LB_INLINE explicit GenerateFrame(xdp_md* context)
      : begin(reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data))),
        end(reinterpret_cast<u8*>(static_cast<__UINTPTR_TYPE__>(context->data_end))) {}
};

struct LB_WIRE(8) SevenWords {
  u64 word[7];
};

template <class Piece>
LB_INLINE bool copy(const GenerateFrame& frame, const GenerateTemplate& from, u32 at) {
  auto* piece = header_at<Piece>(frame, at);
  if (!piece) return false;
  *piece = *reinterpret_cast<const Piece*>(from.head + at);
  return true;
}

/// The headers, in the fewest pieces that the frame has room for: it may be as short as its headers.
LB_INLINE bool copy_head(const GenerateFrame& frame, const GenerateTemplate& from, bool v6, bool tcp, bool syn) {
  bool good = copy<SevenWords>(frame, from, 0) && copy<WireWord32>(frame, from, 56);
  if (v6) good = good && copy<Be16>(frame, from, 60);
  if (v6 && tcp) good = good && copy<WireWord64>(frame, from, 62) && copy<WireWord32>(frame, from, 70);
  if (v6 && syn) good = good && copy<WireWord32>(frame, from, 74);
  return good;
}

/// A permutation of the numbers below 2^bits: each step can be undone.
LB_INLINE u64 permuted(const GeneratePlan& plan, u64 place, u64 mask) {
  const u32 shift = (plan.place_bits + 1) / 2;
  u64 x = (place + plan.offset) & mask;
  x ^= x >> shift;
  x = x * plan.multiplier[0] & mask;
  x ^= x >> shift;
  x = x * plan.multiplier[1] & mask;
  return x ^ x >> shift;
}

LB_INLINE u32 halves(u32 word) { return (word & 0xffff) + (word >> 16); }

/// What differs between the frames of one kind, in memory order.
struct Varied {
  u64 host;  ///< the address' bits below the prefix: IPv4 in the upper half
  Be16 port;
  Be32 sequence;
};

/// Source port, sequence number and checksum; `sum` is that of the pseudo header, of the template and of the address.
LB_INLINE bool vary_transport(const GenerateFrame& frame, u32 at, const Varied& varied, u32 sum, bool tcp) {
  sum += varied.port.raw;
  if (tcp) {
    auto* segment = header_at<Tcp>(frame, at);
    if (!segment) return false;
    segment->source = varied.port;
    segment->sequence = varied.sequence;
    segment->checksum = {static_cast<u16>(~fold(sum + halves(varied.sequence.raw)))};
    return true;
  }
  auto* datagram = header_at<Udp>(frame, at);
  if (!datagram) return false;
  const u16 checksum = static_cast<u16>(~fold(sum));
  datagram->source = varied.port;
  datagram->checksum = {checksum ? checksum : u16{0xffff}};  // RFC 768: zero says that there is none
  return true;
}

LB_INLINE bool vary4(const GenerateFrame& frame, const GenerateTemplate& from, const Varied& varied, bool tcp) {
  auto* ip = header_at<Ipv4>(frame, sizeof(Ethernet));
  if (!ip) return false;
  const u32 host = static_cast<u32>(varied.host >> 32);
  ip->source.raw |= host;
  ip->checksum = {static_cast<u16>(~fold(from.network_sum + halves(host)))};
  return vary_transport(frame, sizeof(Ethernet) + sizeof(Ipv4), varied, from.transport_sum + halves(host), tcp);
}

LB_INLINE bool vary6(const GenerateFrame& frame, const GenerateTemplate& from, const Varied& varied, bool tcp) {
  auto* ip = header_at<Ipv6>(frame, sizeof(Ethernet));
  if (!ip) return false;
  const u32 upper = static_cast<u32>(varied.host), lower = static_cast<u32>(varied.host >> 32);
  ip->source[2].raw |= upper;
  ip->source[3].raw |= lower;
  const u32 sum = from.transport_sum + halves(upper) + halves(lower);
  return vary_transport(frame, sizeof(Ethernet) + sizeof(Ipv6), varied, sum, tcp);
}

/// The payload, by the helper: the frame may be longer than the program can prove.
LB_INLINE bool store_payload(xdp_md* context, const GenerateState& state, const GenerateTemplate& from) {
  // Linux 6.1 learns nothing from a comparison with zero: the length has to be one more than a number that is bounded.
  u32 before_last = from.payload - 1;
  asm volatile("" : "+r"(before_last));
  if (before_last >= generate_payload) return before_last + 1 == 0;
  return store_bytes(context, from.payload_at, state.payload, before_last + 1) == 0;
}

LB_INLINE int generate(xdp_md* context) {
  const u32 key = 0;
  auto* state = static_cast<GenerateState*>(map_lookup(&weir_state, &key));
  if (!state) return XDP_DROP;
  const GeneratePlan& plan = state->plan;
  GenerateProgress& progress = state->progress;
  const u64 flow = progress.flow, round = progress.round;
  const bool last = flow + plan.stride >= plan.flows;
  progress.flow = last ? progress.first : flow + plan.stride;
  progress.round = round + last;

  const u64 mask = (u64{1} << (plan.place_bits & 63)) - 1;
  const u64 place = plan.random ? permuted(plan, flow, mask) : flow & mask;
  const u64 address = place & ((u64{1} << (plan.address_bits & 63)) - 1);
  const u64 mark = (flow + plan.offset) * plan.mark;
  const bool tcp = (mark >> 32) >= plan.udp;
  u32 kind = static_cast<u32>(GenerateKind::udp);
  u32 advance = 0;
  if (tcp) {
    kind = round > 1 ? 2 : static_cast<u32>(round);
    if (kind == 2 && plan.payload == 0) kind = static_cast<u32>(GenerateKind::ack);
    if (round > 0) advance = 1;
    if (round > 2) advance += static_cast<u32>(round - 2) * plan.payload;
  }
  const GenerateTemplate& from = state->kinds[kind & (generate_kinds - 1)];
  const u32 port = plan.first_port + (static_cast<u32>(place >> (plan.address_bits & 63)) & 0x7fff);
  const Varied varied{__builtin_bswap64(address), to_be(static_cast<u16>(port)),
                      to_be(static_cast<u32>(mark >> 16) + advance)};

  const bool v6 = plan.family == 6;
  const GenerateFrame frame(context);
  const bool written = copy_head(frame, from, v6, tcp, kind == 0) &&
                       (v6 ? vary6(frame, from, varied, tcp) : vary4(frame, from, varied, tcp)) &&
                       store_payload(context, *state, from) &&
                       (from.length == plan.frame_length ||
                        adjust_tail(context, static_cast<int>(from.length - plan.frame_length)) == 0);
  if (!written) {
    progress.broken += 1;
    return XDP_DROP;
  }
  progress.sent[kind & (generate_kinds - 1)] += 1;
  return XDP_TX;
}

}  // namespace weir::bpf

extern "C" BPF_SECTION("xdp") int weir_generate(xdp_md* context) { return weir::bpf::generate(context); }

BPF_SECTION("license") char weir_license[] = "GPL";

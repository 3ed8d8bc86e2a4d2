// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What lbgen's generating program and its loader share: one plan, the templates of the frames, and how far it has come.
// A frame is a function of the plan and of its place in the order, so a seed replays it.
#pragma once

#include "dataplane/core/types.hpp"
#include "dataplane/core/wire.hpp"

namespace weir::bpf {

/// What a generated frame is. Order is the index of templates and counters.
enum class GenerateKind : u8 { syn, ack, data, udp };
inline constexpr u32 generate_kinds = 4;

/// The longest headers: Ethernet, IPv6, TCP with the option of a SYN. In whole words, so that they can be copied.
inline constexpr u32 generate_head = 80;
inline constexpr u32 generate_option = 4;
static_assert(sizeof(Ethernet) + sizeof(Ipv6) + sizeof(Tcp) + generate_option <= generate_head);
/// The shortest frame that Ethernet carries, its checksum not counted, in bytes.
inline constexpr u32 generate_shortest = 60;
/// Payload that a frame may have, in bytes; a page has to hold it, headroom and the kernel's own records.
inline constexpr u32 generate_payload = 2800;

/// The frame of one kind. Fields that differ from packet to packet are zero in `head`, and in the sums.
struct GenerateTemplate {
  u8 head[generate_head];  ///< the first bytes of the frame, in memory order
  u32 length;              ///< of the whole frame, bytes
  u32 payload_at;          ///< where the payload starts
  u32 payload;             ///< its bytes
  u32 network_sum;         ///< one's complement sum of the IPv4 header
  u32 transport_sum;       ///< of pseudo header, header and payload
  u32 reserved;
};
static_assert(sizeof(GenerateTemplate) == 104);

/// What to send. The low `place_bits` bits of a flow's number decide its source: address bits lowest, then the port.
struct GeneratePlan {
  u64 flows;          ///< sent in turn, each first packet first; beyond every bound: each packet is a flow of its own
  u64 stride;         ///< from one flow of this program to its next: the number of programs that share the plan
  u64 multiplier[2];  ///< odd: with shifts a permutation of the places
  u64 offset;         ///< added to a place before it is permuted
  u64 mark;           ///< odd: what initial sequence numbers and the choice of UDP are made of
  u64 udp;            ///< of 2^32: the share of flows that are UDP
  u32 place_bits;     ///< 1..63
  u32 address_bits;   ///< how many of them go into the address, at most 48
  u32 random;         ///< 0: places in order
  u32 family;         ///< 4 or 6
  u32 first_port;     ///< host order
  u32 frame_length;   ///< of the longest kind in use, bytes: what the kernel hands over
  u32 payload;        ///< by which the sequence number advances with each data packet, bytes
  u32 reserved;
};
static_assert(sizeof(GeneratePlan) == 88);

/// Source ports: 2^15 from `first_port` on.
inline constexpr u32 generate_port_bits = 15;

/// Written by the program, one cache line of its own.
struct alignas(64) GenerateProgress {
  u64 first;  ///< this program's first flow
  u64 flow;   ///< that comes next
  u64 round;  ///< how often all flows had a packet
  u64 sent[generate_kinds];
  u64 broken;  ///< frames that the program could not write: none, unless the plan is wrong
};
static_assert(sizeof(GenerateProgress) == 64);

/// The one element of the map.
struct GenerateState {
  GenerateProgress progress;
  GeneratePlan plan;
  GenerateTemplate kinds[generate_kinds];
  u8 payload[generate_payload];
};

}  // namespace weir::bpf

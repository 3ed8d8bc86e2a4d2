// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// How parsing ends, and the bounded walk over IPv6 extension headers.
#pragma once

#include "dataplane/core/cursor.hpp"
#include "dataplane/core/verdict.hpp"
#include "dataplane/core/wire.hpp"

namespace weir {

inline constexpr u32 max_extension_headers = 8;

/// Which part of a datagram a packet is. An atomic fragment (RFC 6946) is whole.
enum class Piece : u8 { whole, first, later };

/// What parsing has found: a TCP or UDP packet, an ICMP message, or neither.
enum class Kind : u8 { flow, icmp, none };

/// How parsing ended; `why` holds for Kind::none.
struct Parsed {
  Kind kind;
  Verdict why;
};
LB_INLINE constexpr Parsed parsed(Kind kind = Kind::flow) { return {kind, Verdict::not_ours}; }
LB_INLINE constexpr Parsed unparsed(Verdict why) { return {Kind::none, why}; }

/// Whether `next` is an extension header that is walked over.
LB_INLINE constexpr bool is_extension(u8 next) {
  return next == next_header::hop_by_hop || next == next_header::routing || next == next_header::fragment ||
         next == next_header::authentication || next == next_header::destination_options ||
         next == next_header::mobility;
}

/// Where a walk over extension headers ended.
struct Walk {
  Parsed parsed;
  u8 next;
  Piece piece;
  u32 at;
};

/// Walks over at most `max_extension_headers` extension headers (RFC 8200, 4), in a later fragment no farther than its
/// fragment header: behind it are bytes from the middle of something.
template <class F>
LB_INLINE Walk walk_extensions(const F& frame, u8 next, u32 at, u32 end) {
  Piece piece = Piece::whole;
  for (u32 i = 0; i < max_extension_headers; ++i) {
    if (!is_extension(next)) break;
    const auto* extension = header_at<Ipv6Extension>(frame, at);
    if (!extension || at + sizeof(Ipv6Extension) > end) return {unparsed(Verdict::truncated), next, piece, at};
    const bool fragment = next == next_header::fragment;
    const u16 offset_and_more = to_host(extension->fragment);
    // RFC 8200 4.2: 8-byte units beyond the first 8; RFC 4302 2.2: 4-byte units beyond the first 8; a fragment header
    // is 8 bytes long and its second byte is reserved.
    const u32 length = extension->length;
    at += fragment ? 8 : next == next_header::authentication ? (length + 2) * 4 : (length + 1) * 8;
    next = extension->next_header;
    if (fragment && (offset_and_more & 0xfff8)) return {parsed(), next, Piece::later, at};
    if (fragment && (offset_and_more & 1)) piece = Piece::first;
  }
  if (is_extension(next)) return {unparsed(Verdict::extension_headers), next, piece, at};
  return {parsed(), next, piece, at};
}

}  // namespace weir

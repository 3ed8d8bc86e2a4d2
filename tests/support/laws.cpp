// SPDX-License-Identifier: Apache-2.0
#include "tests/support/laws.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::testing {
namespace {

u32 get16(const Bytes& b, std::size_t at) { return u32{b[at]} << 8 | b[at + 1]; }

/// Where the datagram starts; beyond the frame when it holds none.
std::size_t datagram_at(const Bytes& b) {
  if (b.size() < 14) return b.size();
  std::size_t type = 12;
  for (int tags = 0; tags < 2 && type + 6 <= b.size(); ++tags, type += 4)
    if (get16(b, type) != 0x8100 && get16(b, type) != 0x88a8) break;
  const u32 ether_type = get16(b, type);
  return ether_type == 0x0800 || ether_type == 0x86dd ? type + 2 : b.size();
}

/// A datagram from its first byte on, as much of it as there is.
struct Datagram {
  Bytes bytes;         // without what lies behind the datagram
  bool sound = false;  // version and lengths fit
  bool whole = false;  // nothing is cut off at the end
  bool v6 = false;
  bool fragment = false;
  std::size_t header = 0;  // of IP with options or extensions
  u8 protocol = 0;
  u8 ttl = 0;
};

bool walked(u8 next) { return next == 0 || next == 43 || next == 44 || next == 51 || next == 60 || next == 135; }

void walk(Datagram& d) {
  d.header = 40;
  d.protocol = d.bytes[6];
  while (walked(d.protocol)) {
    if (d.header + 8 > d.bytes.size()) {
      d.fragment = true;  // too short for a transport header: nothing behind it is checked
      return;
    }
    const u8 type = d.protocol;
    const u32 length = d.bytes[d.header + 1];
    if (type == 44 && (get16(d.bytes, d.header + 2) & 0xfff9) != 0) d.fragment = true;
    d.protocol = d.bytes[d.header];
    d.header += type == 44 ? 8 : type == 51 ? (length + 2) * 4 : (length + 1) * 8;
  }
}

Datagram read(const Bytes& from, std::size_t at) {
  Datagram d;
  if (at >= from.size()) return d;
  d.bytes.assign(from.begin() + static_cast<long>(at), from.end());
  Bytes& b = d.bytes;
  d.v6 = b[0] >> 4 == 6;
  if (b.size() < (d.v6 ? 40U : 20U) || (!d.v6 && b[0] >> 4 != 4)) return d;
  const std::size_t total = d.v6 ? 40 + get16(b, 4) : get16(b, 2);
  d.whole = total <= b.size();
  if (d.whole) b.resize(total);
  d.ttl = d.v6 ? b[7] : b[8];
  if (d.v6) {
    walk(d);
  } else {
    d.header = (b[0] & 15U) * 4U;
    d.protocol = b[9];
    d.fragment = (get16(b, 6) & 0x3fff) != 0;
    if (d.header < 20) return d;
  }
  d.sound = d.header <= b.size();
  return d;
}

bool sums_to_zero(const Bytes& b, std::size_t from, std::size_t to) {
  return internet_checksum(Bytes(b.begin() + static_cast<long>(from), b.begin() + static_cast<long>(to))) == 0;
}
bool header_right(const Datagram& d) { return d.v6 || sums_to_zero(d.bytes, 0, d.header); }

bool pseudo_right(const Datagram& d, std::size_t length) {
  Bytes covered(d.bytes.begin() + (d.v6 ? 8 : 12), d.bytes.begin() + (d.v6 ? 40 : 20));
  for (const std::size_t byte : {length >> 24, length >> 16, length >> 8, length, std::size_t{0}, std::size_t{0},
                                 std::size_t{0}, std::size_t{d.protocol}})
    covered.push_back(static_cast<u8>(byte));
  covered.insert(covered.end(), d.bytes.begin() + static_cast<long>(d.header),
                 d.bytes.begin() + static_cast<long>(d.header + length));
  return internet_checksum(covered) == 0;
}

bool has_udp_checksum(const Datagram& d) {
  return d.sound && d.protocol == 17 && !d.fragment && d.header + 8 <= d.bytes.size() &&
         get16(d.bytes, d.header + 6) != 0;
}

/// Where the datagram that an ICMP error quotes starts in it; 0 when it is no such error.
std::size_t quote_at(const Datagram& d) {
  if (!d.sound || d.fragment || d.header + 8 >= d.bytes.size() || d.protocol != (d.v6 ? 58 : 1)) return 0;
  const u8 type = d.bytes[d.header];
  const bool error = d.v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
  return error ? d.header + 8 : 0;
}

/// Whether an ICMP message's own two checksums are right, whatever it quotes.
bool own_right(const Datagram& d) {
  const bool icmp = d.protocol == (d.v6 ? 58 : 1) && d.header < d.bytes.size();
  return icmp && header_right(d) &&
         (d.v6 ? pseudo_right(d, d.bytes.size() - d.header) : sums_to_zero(d.bytes, d.header, d.bytes.size()));
}

/// Whether every checksum that can be computed from the bytes at hand is right, those of a quoted datagram included.
bool all_right(const Datagram& d) {
  if (!d.sound || !header_right(d)) return false;
  if (!d.whole || d.fragment) return true;
  const std::size_t rest = d.bytes.size() - d.header;
  if (d.protocol == 6) return rest >= 20 && pseudo_right(d, rest);
  if (d.protocol == 17) {
    if (rest < 8) return false;
    const u32 length = get16(d.bytes, d.header + 4);
    return length >= 8 && length <= rest && (!has_udp_checksum(d) || pseudo_right(d, length));
  }
  if (d.protocol != (d.v6 ? 58 : 1)) return true;
  if (rest < 4 || !(d.v6 ? pseudo_right(d, rest) : sums_to_zero(d.bytes, d.header, d.bytes.size()))) return false;
  const Datagram quoted = read(d.bytes, quote_at(d) == 0 ? d.bytes.size() : quote_at(d));
  return !quoted.sound || all_right(quoted);
}
bool quote_right(const Datagram& d) {
  if (quote_at(d) == 0) return true;
  const Datagram quoted = read(d.bytes, quote_at(d));
  return !quoted.sound || all_right(quoted);
}

bool is_syn(const Datagram& d) {
  return d.protocol == 6 && d.header + 20 <= d.bytes.size() && (d.bytes[d.header + 13] & 2) != 0;
}

/// `out` is `in` on its way through a tunnel: one less in TTL, else the same but for a SYN's options and checksum.
std::string carried(const Datagram& in, Datagram out) {
  if (!out.sound || out.bytes.size() != in.bytes.size()) return "the inner datagram has another length";
  if (out.ttl + 1 != in.ttl) return "the inner TTL did not fall by one";
  Bytes same = in.bytes;
  const auto keep = [&](std::size_t from, std::size_t to) {
    std::copy(out.bytes.begin() + static_cast<long>(from), out.bytes.begin() + static_cast<long>(to),
              same.begin() + static_cast<long>(from));
  };
  if (in.v6) {
    keep(7, 8);
  } else {
    keep(8, 9);
    keep(10, 12);
  }
  if (is_syn(in)) keep(in.header + 16, std::min(in.bytes.size(), in.header + 60));
  return same == out.bytes ? "" : "the inner datagram is not the one that came in";
}

std::string tunnel_law(const Datagram& in, const Datagram& out, bool gue) {
  if (gue ? out.protocol != 17 : out.protocol != (in.v6 ? 41 : 4)) return "the outer header names another protocol";
  if (gue && get16(out.bytes, out.header + 4) != out.bytes.size() - out.header) return "wrong outer UDP length";
  if (gue && get16(out.bytes, out.header + 6) != 0) return "the outer UDP header has a checksum";
  const std::size_t inner = out.header + (gue ? 12 : 0);
  if (gue && out.bytes[inner - 3] != (in.v6 ? 41 : 4)) return "the GUE header names another protocol";
  const Datagram carried_out = read(out.bytes, inner);
  if (std::string why = carried(in, carried_out); !why.empty()) return why;
  return all_right(in) && !all_right(carried_out) ? "a correct inner checksum became wrong" : "";
}

u32 get32(const Bytes& b, std::size_t at) { return get16(b, at) << 16 | get16(b, at + 2); }

/// `out` is the RST that RFC 9293, 3.10.7.1 asks for in answer to `in`, and nothing more.
std::string reset_law(const Datagram& in, const Datagram& out) {
  const std::size_t ip = in.v6 ? 40 : 20;
  if (out.bytes.size() != ip + 20 || out.header != ip || out.protocol != 6) return "a RST of another length";
  if (!all_right(out)) return "a wrong checksum in a RST";
  const std::size_t address = in.v6 ? 8 : 12, size = in.v6 ? 16 : 4;
  const auto equal = [&](std::size_t from, std::size_t to, std::size_t n) {
    return std::equal(in.bytes.begin() + static_cast<long>(from), in.bytes.begin() + static_cast<long>(from + n),
                      out.bytes.begin() + static_cast<long>(to));
  };
  if (!equal(address, address + size, size) || !equal(address + size, address, size) || !equal(in.header, ip + 2, 2) ||
      !equal(in.header + 2, ip, 2))
    return "a RST that does not go back";
  const u8 flags = in.bytes[in.header + 13];
  const u32 length = static_cast<u32>(in.bytes.size() - in.header - (in.bytes[in.header + 12] >> 4) * 4U) +
                     (flags & 1U) + (flags >> 1 & 1U);
  const bool acknowledges = (flags & 0x10) != 0;
  const u32 sequence = acknowledges ? get32(in.bytes, in.header + 8) : 0;
  const u32 acknowledgment = acknowledges ? 0 : get32(in.bytes, in.header + 4) + length;
  const bool right = get32(out.bytes, ip + 4) == sequence && get32(out.bytes, ip + 8) == acknowledgment &&
                     out.bytes[ip + 12] == 0x50 && out.bytes[ip + 13] == (acknowledges ? 0x04 : 0x14) &&
                     get16(out.bytes, ip + 14) == 0;
  return right ? "" : "a RST that its receiver would not take";
}

std::string sent_law(const Bytes& frame, const Outcome& outcome) {
  const Datagram in = read(frame, datagram_at(frame));
  const Datagram out = read(outcome.frame, datagram_at(outcome.frame));
  if (!out.sound || !out.whole) return "lengths that do not fit the frame";
  const bool wrapped = in.protocol != out.protocol && outcome.verdict == Verdict::forwarded_icmp;
  if (outcome.verdict == Verdict::forwarded_ipip || outcome.verdict == Verdict::forwarded_gue || wrapped) {
    if (!header_right(out)) return "wrong outer header checksum";
    return tunnel_law(in, out, out.protocol == 17);
  }
  if (outcome.verdict == Verdict::answered_reset) return reset_law(in, out);
  if (outcome.verdict == Verdict::answered_too_big) return own_right(out) ? "" : "a wrong checksum in Weir's answer";
  if (header_right(in) && !header_right(out)) return "a correct header checksum became wrong";
  if (all_right(in) && !all_right(out)) return "a correct checksum became wrong";
  if (quote_right(in) && !quote_right(out)) return "a correct checksum in a quoted datagram became wrong";
  if (has_udp_checksum(in) && !has_udp_checksum(out)) return "a UDP checksum became none";
  const bool routed = outcome.verdict == Verdict::forwarded_nat || outcome.verdict == Verdict::returned_nat;
  if (routed && out.ttl + 1 != in.ttl) return "the TTL did not fall by one";
  return "";
}

}  // namespace

std::string broken_law(const Bytes& in, const Outcome& outcome) {
  const char* name = verdict_table[static_cast<u32>(outcome.verdict)].name;
  if (action_of(outcome.verdict) != Action::transmit) {
    // Room is asked for when all is decided, so a SYN may have lost some of its MSS by then. It is discarded.
    if (outcome.frame != in && outcome.verdict != Verdict::no_headroom)
      return fmt::format("{}: the frame was changed", name);
    return outcome.egress == 0 ? "" : fmt::format("{}: an egress is named", name);
  }
  if (outcome.egress == 0) return fmt::format("{}: no egress is named", name);
  const std::string why = sent_law(in, outcome);
  return why.empty() ? "" : fmt::format("{}: {}", name, why);
}

}  // namespace weir::testing

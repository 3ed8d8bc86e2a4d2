// SPDX-License-Identifier: Apache-2.0
#include "tools/decap/settings.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace weir::decap {
namespace {

using bpf::DecapPrefix;
using bpf::failure;
using bpf::Outcome;

/// Whether all bits of `ip` beyond the first `bits` of its own family are zero.
bool ends_within(const Ip& ip, u32 bits) {
  const u32 from = is_v4(ip) ? bits + 96 : bits;
  for (u32 i = from; i < 128; ++i)
    if ((__builtin_bswap32(ip.word[i / 32]) >> (31 - i % 32) & 1) != 0) return false;
  return true;
}

}  // namespace

std::string to_text(const Ip& ip) {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4(ip)) return inet_ntop(AF_INET, &ip.word[3], text, sizeof text);
  return inet_ntop(AF_INET6, ip.word, text, sizeof text);
}

std::string to_text(const DecapPrefix& prefix) { return fmt::format("{}/{}", to_text(prefix.address), prefix.bits); }

Outcome<Ip> parse_address(const std::string& text) {
  Ip ip{};
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return ip_from_v4(Be32{v4.s_addr});
  if (inet_pton(AF_INET6, text.c_str(), ip.word) != 1) return failure("\"{}\" is not an IPv4 or IPv6 address", text);
  if (is_v4(ip)) return failure("\"{}\" is an IPv4 address in IPv6 form; write it as {}", text, to_text(ip));
  return ip;
}

Outcome<DecapPrefix> parse_prefix(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address)
    return failure("\"{}\" is not a prefix: write ADDRESS/LENGTH, for example 198.18.0.0/16 or 2001:db8:e::/64", text);
  const u32 whole = is_v4(*address) ? 32 : 128;
  DecapPrefix prefix{*address, whole};
  if (slash != std::string::npos) {
    const char* const begin = text.data() + slash + 1;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(begin, end, prefix.bits);
    if (begin == end || error != std::errc() || stop != end || prefix.bits > whole)
      return failure("\"{}\": the length of this prefix is a number from 0 to {}", text, whole);
  }
  if (!ends_within(prefix.address, prefix.bits))
    return failure("\"{}\" has bits set beyond its length of {}", text, prefix.bits);
  return prefix;
}

Outcome<std::vector<Ip>> addresses_of(const std::string& interface) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return failure("cannot list addresses: {}", bpf::errno_text(errno));
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  std::vector<Ip> found;
  for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
    // An IPv4 address may be labelled INTERFACE:LABEL.
    const std::string_view name(entry->ifa_name);
    if (name.substr(0, name.find(':')) != interface || !entry->ifa_addr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      found.push_back(ip_from_v4(Be32{v4->sin_addr.s_addr}));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      found.push_back(__builtin_bit_cast(Ip, v6->sin6_addr));
    }
  }
  if (found.empty()) return failure("{} has no address; give it one, or name those of this host with --to", interface);
  return found;
}

Outcome<bpf::DecapSettings> settings_from(const std::vector<std::string>& from, const std::vector<std::string>& to,
                                          u16 gue_port, const std::string& interface) {
  bpf::DecapSettings settings{.gue_port = gue_port};
  for (const std::string& text : from) {
    auto prefix = parse_prefix(text);
    if (!prefix) return failure("--from {}", prefix.error());
    settings.sources.push_back(*prefix);
  }
  for (const std::string& text : to) {
    auto address = parse_address(text);
    if (!address) return failure("--to {}", address.error());
    settings.own.push_back(*address);
  }
  if (!to.empty()) return settings;
  auto own = addresses_of(interface);
  if (!own) return tl::unexpected(own.error());
  settings.own = std::move(*own);
  return settings;
}

}  // namespace weir::decap

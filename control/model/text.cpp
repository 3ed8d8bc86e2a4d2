// SPDX-License-Identifier: Apache-2.0
#include "control/model/text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <utility>

namespace weir::model {
namespace {

constexpr std::size_t longest_name = 63;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

Result<u16> parse_port(std::string_view text, std::string_view whole) {
  u16 port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size())
    return fail(Fault::invalid, "\"{}\": port \"{}\" is not a number from 0 (every port) to 65535", whole, text);
  return port;
}

constexpr u32 v4_offset = 96;  // where an IPv4 address begins among the 128 bits of an Ip

/// `ip` with all but the first `length` of its 128 bits cleared.
Ip cut_to(Ip ip, u32 length) {
  for (u32 i = 0; i < 4; ++i) {
    const u32 kept = std::clamp(length, 32 * i, 32 * (i + 1)) - 32 * i;
    ip.word[i] &= to_be(static_cast<u32>(~(0xffff'ffffULL >> kept))).raw;
  }
  return ip;
}

}  // namespace

Result<Ip> parse_ip(std::string_view text) {
  // inet_pton reads up to a NUL byte, which would let "192.0.2.1\0junk" pass.
  const std::string terminated(text);
  const bool has_nul = text.find('\0') != std::string_view::npos;
  Ip ip{};
  in_addr v4{};
  if (!has_nul && inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return ip_from_v4(Be32{v4.s_addr});
  if (has_nul || inet_pton(AF_INET6, terminated.c_str(), ip.word) != 1)
    return fail(Fault::invalid, "\"{}\" is not an IPv4 or IPv6 address", text);
  if (is_v4(ip))
    return fail(Fault::invalid, "\"{}\" is an IPv4 address in IPv6 form; write it as {}", text, to_text(ip));
  return ip;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket + 1 != colon)
      return fail(Fault::invalid, "\"{}\" is not [ADDRESS]:PORT, for example [2001:db8::1]:80", text);
    auto address = parse_ip(text.substr(1, bracket - 1));
    if (!address) return tl::unexpected(std::move(address.error()));
    if (is_v4(*address)) return fail(Fault::invalid, "\"{}\": write an IPv4 address without brackets", text);
    auto port = parse_port(text.substr(colon + 1), text);
    if (!port) return tl::unexpected(std::move(port.error()));
    return Endpoint{*address, *port};
  }
  if (colon == std::string_view::npos)
    return fail(Fault::invalid, "\"{}\" has no port; write ADDRESS:PORT, for example 192.0.2.1:80", text);
  if (text.find(':') != colon)
    return fail(Fault::invalid, "\"{}\": put an IPv6 address in brackets, for example [2001:db8::1]:80", text);
  auto address = parse_ip(text.substr(0, colon));
  if (!address) return tl::unexpected(std::move(address.error()));
  auto port = parse_port(text.substr(colon + 1), text);
  if (!port) return tl::unexpected(std::move(port.error()));
  return Endpoint{*address, *port};
}

Result<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return fail(Fault::invalid, "\"{}\" has no length; write ADDRESS/LENGTH, for example 198.18.0.0/16", text);
  auto address = parse_ip(text.substr(0, slash));
  if (!address) return tl::unexpected(std::move(address.error()));
  const std::string_view digits = text.substr(slash + 1);
  const u32 longest = is_v4(*address) ? 32 : 128;
  u32 length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || length > longest)
    return fail(Fault::invalid, "\"{}\": length \"{}\" is not a number from 0 to {}", text, digits, longest);
  const Prefix prefix{cut_to(*address, length + (is_v4(*address) ? v4_offset : 0)), length};
  if (!(prefix.address == *address))
    return fail(Fault::invalid, "\"{}\" has bits beyond its length; write {}", text, to_text(prefix));
  return prefix;
}

Result<Vip> parse_vip(std::string_view text) {
  const std::string_view prefix = text.substr(0, text.find(':'));
  // A word that no address can begin with is a protocol; "fe80" is not, and leaves the complaint to parse_endpoint().
  const bool names_protocol = prefix.size() < text.size() && std::any_of(prefix.begin(), prefix.end(), [](char c) {
                                return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z');
                              });
  Vip vip;
  if (names_protocol) {
    auto protocol = parse_protocol(prefix);
    if (!protocol) return tl::unexpected(std::move(protocol.error()));
    vip.protocol = *protocol;
    text.remove_prefix(prefix.size() + 1);
  }
  auto endpoint = parse_endpoint(text);
  if (!endpoint) return tl::unexpected(std::move(endpoint.error()));
  vip.endpoint = *endpoint;
  return vip;
}

Result<Mode> parse_mode(std::string_view text) {
  if (text == "nat") return Mode::nat;
  if (text == "l2dsr") return Mode::l2dsr;
  if (text == "ipip") return Mode::ipip;
  if (text == "gue") return Mode::gue;
  return fail(Fault::invalid, "mode \"{}\" is not known; write nat, l2dsr, ipip or gue", text);
}

Result<HashOn> parse_hash(std::string_view text) {
  if (text == "5tuple") return HashOn::five_tuple;
  if (text == "source") return HashOn::source;
  return fail(Fault::invalid, "hash \"{}\" is not known; write 5tuple or source", text);
}

Result<Admin> parse_admin(std::string_view text) {
  if (text == "active") return Admin::active;
  if (text == "draining") return Admin::draining;
  if (text == "maint") return Admin::maint;
  return fail(Fault::invalid, "admin state \"{}\" is not known; write active, draining or maint", text);
}

Result<Protocol> parse_protocol(std::string_view text) {
  if (text == "tcp") return Protocol::tcp;
  if (text == "udp") return Protocol::udp;
  return fail(Fault::invalid, "protocol \"{}\" is not known; write tcp or udp", text);
}

Result<Track> parse_track(std::string_view text) {
  if (text == "changes") return Track::changes;
  if (text == "all") return Track::all;
  return fail(Fault::invalid, "track \"{}\" is not known; write changes or all", text);
}

Result<OnRemove> parse_on_remove(std::string_view text) {
  if (text == "keep") return OnRemove::keep;
  if (text == "rehash") return OnRemove::rehash;
  if (text == "reset") return OnRemove::reset;
  return fail(Fault::invalid, "on-remove \"{}\" is not known; write keep, rehash or reset", text);
}

Result<u32> parse_duration(std::string_view text) {
  constexpr std::pair<char, u32> units[] = {{'h', 3600}, {'m', 60}, {'s', 1}};
  constexpr u64 longest = std::numeric_limits<u32>::max();
  const auto wrong = [text] {
    return fail(Fault::invalid, "\"{}\" is not a duration; write for example 90s, 15m or 1h30m", text);
  };
  const char* at = text.data();
  const char* const end = at + text.size();
  if (at == end) return wrong();
  u64 seconds = 0;
  const auto* next_unit = std::begin(units);  // the greatest that may still come
  while (at != end) {
    u32 count = 0;
    const auto [rest, error] = std::from_chars(at, end, count);
    if (error != std::errc{}) return wrong();
    if (rest == end && at == text.data()) return count;
    const char name = rest == end ? '\0' : *rest;
    const auto* unit = std::find_if(next_unit, std::end(units), [name](const auto& u) { return u.first == name; });
    if (unit == std::end(units)) return wrong();
    next_unit = unit + 1;
    seconds += u64{count} * unit->second;
    if (seconds > longest) return fail(Fault::invalid, "\"{}\" is longer than {} seconds", text, longest);
    at = rest + 1;
  }
  return static_cast<u32>(seconds);
}

Result<Seed> parse_seed(std::string_view text) {
  Seed seed{};
  bool valid = text.size() == 2 * seed.size();
  for (std::size_t i = 0; valid && i < seed.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, seed[i], 16);
    valid = error == std::errc{} && end == digits + 2;
  }
  if (valid) return seed;
  return fail(Fault::invalid, "\"{}\" is not 32 hexadecimal digits; make them with: openssl rand -hex 16", text);
}

std::string to_text(const Ip& ip) {
  char buffer[INET6_ADDRSTRLEN];
  if (is_v4(ip)) return inet_ntop(AF_INET, &ip.word[3], buffer, sizeof buffer);
  return inet_ntop(AF_INET6, ip.word, buffer, sizeof buffer);
}

std::string to_text(const Endpoint& endpoint) {
  const std::string address = to_text(endpoint.address);
  return is_v4(endpoint.address) ? fmt::format("{}:{}", address, endpoint.port)
                                 : fmt::format("[{}]:{}", address, endpoint.port);
}

std::string to_text(const Prefix& prefix) { return fmt::format("{}/{}", to_text(prefix.address), prefix.length); }

std::string to_text(Mode mode) {
  switch (mode) {
    case Mode::nat:
      return "nat";
    case Mode::l2dsr:
      return "l2dsr";
    case Mode::ipip:
      return "ipip";
    case Mode::gue:
      return "gue";
  }
  return "unknown";
}

std::string to_text(HashOn hash) { return hash == HashOn::five_tuple ? "5tuple" : "source"; }

std::string to_text(Admin admin) {
  switch (admin) {
    case Admin::active:
      return "active";
    case Admin::draining:
      return "draining";
    case Admin::maint:
      return "maint";
  }
  return "unknown";
}

std::string to_text(Protocol protocol) { return protocol == Protocol::tcp ? "tcp" : "udp"; }

std::string to_text(const Seed& seed) {
  std::string text;
  for (const u8 byte : seed) text += fmt::format("{:02x}", byte);
  return text;
}

std::string to_text(Track track) { return track == Track::changes ? "changes" : "all"; }

std::string to_text(OnRemove on_remove) {
  switch (on_remove) {
    case OnRemove::keep:
      return "keep";
    case OnRemove::rehash:
      return "rehash";
    case OnRemove::reset:
      return "reset";
  }
  return "unknown";
}

std::string duration_text(u64 seconds) {
  std::string text;
  if (seconds >= 3600) text += fmt::format("{}h", seconds / 3600);
  if (seconds / 60 % 60 != 0) text += fmt::format("{}m", seconds / 60 % 60);
  if (seconds % 60 != 0 || text.empty()) text += fmt::format("{}s", seconds % 60);
  return text;
}

std::string vip_text(const Service& service) {
  return fmt::format("{}:{}", to_text(service.protocol), to_text(service.vip));
}

std::string name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > longest_name) return fmt::format("is longer than {} characters", longest_name);
  if (!is_lower_or_digit(name.front())) return "begins with something else than a-z or 0-9";
  const bool valid = std::all_of(name.begin(), name.end(),
                                 [](char c) { return is_lower_or_digit(c) || c == '.' || c == '_' || c == '-'; });
  return valid ? "" : "has a character outside a-z 0-9 . _ -";
}

std::string backend_name(const Endpoint& endpoint) {
  std::string name = to_text(endpoint.address);
  std::replace(name.begin(), name.end(), ':', '-');
  if (name.front() == '-') name.insert(name.begin(), '0');  // "::5" is a valid address, "--5" no valid name
  return fmt::format("{}-{}", name, endpoint.port);
}

}  // namespace weir::model

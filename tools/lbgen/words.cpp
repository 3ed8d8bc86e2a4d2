// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/words.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "control/model/text.hpp"

namespace weir::lbgen {
namespace {

constexpr double longest = 86400;  // seconds
constexpr std::array<const char*, 5> ranges{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15",
                                            "2001:db8::/32"};

/// The number that `text` starts with, and what follows it; no number: negative.
double leading_number(const std::string& text, std::string& rest) {
  double value = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  rest.assign(stop, text.data() + text.size());
  return error == std::errc() ? value : -1;
}

}  // namespace

Result<u64> parse_count(const std::string& text) {
  std::string suffix;
  double value = leading_number(text, suffix);
  if (suffix == "k") value *= 1e3;
  if (suffix == "M") value *= 1e6;
  if (suffix == "G") value *= 1e9;
  const bool known = suffix.empty() || suffix == "k" || suffix == "M" || suffix == "G";
  if (!known || value < 1 || value > 1e15 || value != std::floor(value))
    return fail(Fault::invalid, "\"{}\" is not a count: write a whole number from 1, for example 250, 100k or 1.5M",
                text);
  return static_cast<u64>(value);
}

Result<double> parse_seconds(const std::string& text) {
  std::string rest;
  const double value = leading_number(text, rest);
  if (!rest.empty() || !(value > 0) || value > longest)
    return fail(Fault::invalid, "\"{}\" is not a time: write seconds, more than 0 and at most {}", text, longest);
  return value;
}

Result<MacBits> parse_mac(const std::string& text) {
  constexpr std::size_t length = 17, pair = 3;
  MacBits mac = 0;
  bool good = text.size() == length;
  for (std::size_t at = 0; good && at < length; at += pair) {
    u8 byte = 0;
    const char* const begin = text.data() + at;
    const auto [stop, error] = std::from_chars(begin, begin + 2, byte, 16);
    good = error == std::errc() && stop == begin + 2 && (at + 2 == length || text[at + 2] == ':');
    mac |= MacBits{byte} << (8 * at / pair);
  }
  if (!good) return fail(Fault::invalid, "\"{}\" is not a MAC address: write it as 02:00:00:00:00:01", text);
  if ((mac & 1) != 0)
    return fail(Fault::refused, "{} is a group address: a flood to it reaches every host of the network", text);
  return mac;
}

bool holds(const model::Prefix& outer, const model::Prefix& inner) {
  if (is_v4(outer.address) != is_v4(inner.address) || inner.length < outer.length) return false;
  const u32 bits = outer.length + (is_v4(outer.address) ? 96 : 0);
  for (u32 i = 0; i < bits; ++i) {
    const u32 differ = __builtin_bswap32(outer.address.word[i / 32] ^ inner.address.word[i / 32]);
    if ((differ >> (31 - i % 32) & 1) != 0) return false;
  }
  return true;
}

std::string range_fault(const model::Prefix& prefix) {
  for (const char* range : ranges)
    if (const auto outer = model::parse_prefix(range); outer && holds(*outer, prefix)) return {};
  return fmt::format("generated packets stay within {}", fmt::join(ranges, ", "));
}

}  // namespace weir::lbgen

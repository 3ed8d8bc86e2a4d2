// SPDX-License-Identifier: Apache-2.0
// Values to and from the text that operators read and write.
#pragma once

#include <string>
#include <string_view>

#include "control/model/result.hpp"
#include "control/model/service.hpp"
#include "control/model/settings.hpp"

namespace weir::model {

/// "192.0.2.1" or "2001:db8::1"; IPv4-mapped IPv6 text is refused (write the IPv4 address).
[[nodiscard]] Result<Ip> parse_ip(std::string_view text);
/// "192.0.2.1:80" or "[2001:db8::1]:80"; port 0..65535, where 0 stands for every port.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text);
/// "198.18.0.0/16" or "2001:db8:e::/64"; bits beyond the length must be zero.
[[nodiscard]] Result<Prefix> parse_prefix(std::string_view text);
/// "tcp:192.0.2.1:80", "udp:[2001:db8::1]:53"; without a prefix, tcp.
struct Vip {
  Protocol protocol = Protocol::tcp;
  Endpoint endpoint;
};
[[nodiscard]] Result<Vip> parse_vip(std::string_view text);
[[nodiscard]] Result<Mode> parse_mode(std::string_view text);
[[nodiscard]] Result<HashOn> parse_hash(std::string_view text);  // "5tuple" | "source"
[[nodiscard]] Result<Admin> parse_admin(std::string_view text);  // "active" | "draining" | "maint"
[[nodiscard]] Result<Protocol> parse_protocol(std::string_view text);
[[nodiscard]] Result<Track> parse_track(std::string_view text);         // "changes" | "all"
[[nodiscard]] Result<OnRemove> parse_on_remove(std::string_view text);  // "keep" | "rehash" | "reset"
/// Seconds: "90s", "15m", "2h", "1h30m" (units in this order, each once), or a number without unit.
[[nodiscard]] Result<u32> parse_duration(std::string_view text);
[[nodiscard]] Result<Seed> parse_seed(std::string_view text);  // 32 hexadecimal digits

[[nodiscard]] std::string to_text(const Ip& ip);
[[nodiscard]] std::string to_text(const Endpoint& endpoint);
[[nodiscard]] std::string to_text(const Prefix& prefix);
[[nodiscard]] std::string to_text(Mode mode);
[[nodiscard]] std::string to_text(HashOn hash);
[[nodiscard]] std::string to_text(Admin admin);
[[nodiscard]] std::string to_text(Protocol protocol);
[[nodiscard]] std::string to_text(const Seed& seed);
[[nodiscard]] std::string to_text(Track track);
[[nodiscard]] std::string to_text(OnRemove on_remove);
[[nodiscard]] std::string duration_text(u64 seconds);        // "1h30m", "15m", "0s"; parse_duration() takes it back
[[nodiscard]] std::string vip_text(const Service& service);  // "tcp:203.0.113.10:80"

/// Empty when `name` is a valid service or backend name, else the rule it breaks.
[[nodiscard]] std::string name_fault(std::string_view name);
/// The name of a backend that was added without one: "198.51.100.11-8080", "2001-db8--1-8080".
[[nodiscard]] std::string backend_name(const Endpoint& endpoint);

}  // namespace weir::model

// SPDX-License-Identifier: Apache-2.0
// From the words on the command line to settings of the decapsulation program, and back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bpf/decap.hpp"

namespace weir::decap {

/// "198.18.0.0/16", "2001:db8:e::/64", or an address alone for a prefix of its whole length.
[[nodiscard]] bpf::Outcome<bpf::DecapPrefix> parse_prefix(const std::string& text);
[[nodiscard]] bpf::Outcome<Ip> parse_address(const std::string& text);
[[nodiscard]] std::string to_text(const Ip& ip);
[[nodiscard]] std::string to_text(const bpf::DecapPrefix& prefix);

/// The addresses that an interface has now.
[[nodiscard]] bpf::Outcome<std::vector<Ip>> addresses_of(const std::string& interface);

/// Settings from the words of --from and --to. Without --to, those of `interface`.
[[nodiscard]] bpf::Outcome<bpf::DecapSettings> settings_from(const std::vector<std::string>& from,
                                                             const std::vector<std::string>& to, u16 gue_port,
                                                             const std::string& interface);

}  // namespace weir::decap

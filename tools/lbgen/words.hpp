// SPDX-License-Identifier: Apache-2.0
// From words on the command line to values.
#pragma once

#include <string>

#include "control/model/result.hpp"
#include "control/model/settings.hpp"

namespace weir::lbgen {

/// "250", "100k", "1.5M", "2G": a whole number of at least 1; k, M and G are powers of 1000.
[[nodiscard]] Result<u64> parse_count(const std::string& text);
/// "0.5", "10": seconds, more than 0 and at most a day.
[[nodiscard]] Result<double> parse_seconds(const std::string& text);
/// "02:00:00:00:00:01"; no group address.
[[nodiscard]] Result<MacBits> parse_mac(const std::string& text);
/// Whether every address of `inner` is one of `outer`.
[[nodiscard]] bool holds(const model::Prefix& outer, const model::Prefix& inner);
/// Empty when every address of the prefix is for documentation or benchmarking (RFC 5737, RFC 3849, RFC 2544), else
/// the ranges that are.
[[nodiscard]] std::string range_fault(const model::Prefix& prefix);

}  // namespace weir::lbgen

// SPDX-License-Identifier: Apache-2.0
// What holds for every frame and every verdict, checked on raw bytes and not with the core's structs.
#pragma once

#include <string>

#include "dataplane/memory/host_engine.hpp"
#include "tests/support/frames.hpp"

namespace weir::testing {

/// Empty when the outcome of `in` keeps these laws, else the one that is broken:
/// - what is not sent leaves no trace: no egress, and the same bytes unless room was lacking;
/// - what is sent has an egress, lengths that fit the frame and, where Weir wrote it, a right IPv4 header checksum;
/// - correct checksums stay correct, a UDP checksum that was there stays there;
/// - a RST of Weir's own is the one that RFC 9293 asks for;
/// - nat, ipip and gue take one from the TTL; ipip and gue carry the datagram otherwise as it came, but for a SYN's
///   MSS.
[[nodiscard]] std::string broken_law(const Bytes& in, const Outcome& outcome);

}  // namespace weir::testing

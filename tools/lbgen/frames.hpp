// SPDX-License-Identifier: Apache-2.0
// The frames that the generating program starts from.
#pragma once

#include <span>

#include "bpf/generate_layout.hpp"
#include "tools/lbgen/plan.hpp"

namespace weir::lbgen {

/// Bytes of Ethernet, IP and transport header of a frame.
[[nodiscard]] u32 header_length(bool v6, bpf::GenerateKind kind);
/// The template of one kind, with as much of `payload`.
[[nodiscard]] bpf::GenerateTemplate make_template(const Order& order, bpf::GenerateKind kind,
                                                  std::span<const u8> payload);

}  // namespace weir::lbgen

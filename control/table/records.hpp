// SPDX-License-Identifier: Apache-2.0
// From the model to single records of the tables. Pure.
#pragma once

#include "control/model/service.hpp"
#include "control/model/settings.hpp"
#include "dataplane/core/tables.hpp"

namespace weir::table {

/// The flow hash's keys from the cluster's seed: the same on every node.
[[nodiscard]] FlowKeys flow_keys(const model::Seed& seed);

/// Where frames to a backend go, and the longest IP datagram on that way in bytes.
struct Hop {
  u64 word = 0;  ///< as in weir::Backend; 0 when unknown
  u32 mtu = 0;   ///< 0 when unknown
  friend bool operator==(const Hop&, const Hop&) = default;
};

/// The longest datagram from a client, in bytes, that reaches a backend on a way of `hop_mtu`; 0 when none does.
[[nodiscard]] u32 backend_mtu(u32 hop_mtu, Mode mode, const Ip& backend);

[[nodiscard]] Service service_record(const model::Service& service, u32 first_row);
[[nodiscard]] Backend backend_record(const model::Service& service, u32 service_id, const model::Backend& backend,
                                     const Hop& hop);
/// What a backend is to do for flows, as the operator wants it.
[[nodiscard]] BackendState state_of(const model::Backend& backend);
/// A service record's word of that name.
[[nodiscard]] u64 timeouts_of(const model::Service& service);
[[nodiscard]] u64 table_word_of(const model::Service& service, u32 first_row);

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
// From the model to single records of the tables. Pure.
#pragma once

#include "control/model/service.hpp"
#include "control/model/settings.hpp"
#include "dataplane/core/tables.hpp"

namespace weir::table {

/// The flow hash's keys from the cluster's seed: the same on every node.
[[nodiscard]] FlowKeys flow_keys(const model::Seed& seed);

[[nodiscard]] Service service_record(const model::Service& service, u32 first_row);
/// `hop` as in weir::Backend.
[[nodiscard]] Backend backend_record(const model::Service& service, u32 service_id, const model::Endpoint& backend,
                                     u64 hop);
[[nodiscard]] u64 table_word_of(const model::Service& service, u32 first_row);

}  // namespace weir::table

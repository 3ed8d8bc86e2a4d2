// SPDX-License-Identifier: Apache-2.0
// One set of services that has every mode, pair of families, hash and kind of port, with backends that are resolved,
// unresolved, behind another interface and behind a small MTU. The differential test and the fuzzers send into it.
#pragma once

#include <memory>
#include <vector>

#include "control/model/service.hpp"
#include "control/table/publisher.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::testing {

// By the last part of the VIP, 203.0.113.N and 2001:db8:f::N (hexadecimal digits as they stand):
//   10 nat   20 l2dsr   40 l2dsr, and the host's own   50 nothing behind   60, 61 ipip   70, 71 gue   80, 81 every port
// 61 and 71 have backends of the other family. Of each two services on a VIP one hashes on the source.
[[nodiscard]] std::vector<model::Service> world_services();

/// Whether a VIP of `world_services` is an address of the host.
[[nodiscard]] bool world_is_local(const Ip& vip);

/// Writes globals, the ports `ingress` and `other` (interface indices; frames to 02:00:00:00:00:aa are for the first)
/// and all services into `memory`, which outlives the publisher. Backend 1, 2, 3, 4 of each service: 1 is behind
/// `ingress`, 2 as well but behind a small MTU, 3 behind `other`, 4 unresolved. Tunnels have their outer sources, and
/// ICMP a rate that no test reaches.
[[nodiscard]] std::unique_ptr<table::Publisher> publish_world(TableMemory& memory, u32 ingress, u32 other);

/// Room for it.
[[nodiscard]] TableSizes world_sizes();

}  // namespace weir::testing

// SPDX-License-Identifier: Apache-2.0
#include "control/table/records.hpp"

#include <xxhash.h>

#include <bit>

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/flow_table.hpp"

namespace weir::table {

FlowKeys flow_keys(const model::Seed& seed) {
  FlowKeys keys{};
  const auto draw = [&seed](u64 n) { return XXH64(seed.data(), seed.size(), n); };
  u64 n = 0;
  for (u32& key : keys.add) key = static_cast<u32>(draw(n++) >> 32);
  keys.multiply = draw(n) | 1;
  return keys;
}

u64 table_word_of(const model::Service& service, u32 first_row) {
  return table_word(first_row, static_cast<u32>(std::countr_zero(service.rows)), service.hash,
                    static_cast<u16>(service.mss), service.track == model::Track::all);
}

u64 timeouts_of(const model::Service& service) {
  return timeouts_word(ticks_of_seconds(service.idle), ticks_of_seconds(service.idle_closing));
}

BackendState state_of(const model::Backend& backend) {
  if (backend.admin == Admin::maint) return BackendState::dead;
  return backend.effective_weight() == 0 ? BackendState::draining : BackendState::open;
}

u32 backend_mtu(u32 hop_mtu, Mode mode, const Ip& backend) {
  const u32 outer = outer_length(mode, is_v4(backend));
  return hop_mtu > outer ? hop_mtu - outer : 0;
}

Service service_record(const model::Service& service, u32 first_row) {
  Service record{};
  record.table = table_word_of(service, first_row);
  record.vip = service.vip.address;
  record.port = to_be(service.vip.port);
  record.protocol = service.protocol;
  record.mode = service.mode;
  record.in_use = 1;
  record.timeouts = timeouts_of(service);
  return record;
}

Backend backend_record(const model::Service& service, u32 service_id, const model::Backend& backend, const Hop& hop) {
  const auto& [at, port] = backend.endpoint;
  Backend record{};
  record.hop = hop.word;
  record.address = at;
  record.port = to_be(port);
  record.protocol = service.protocol;
  record.mode = service.mode;
  record.service = service_id;
  const u32 vip = word_sum(service.vip.address);
  const u32 address = word_sum(at);
  record.address_delta = replace_delta(vip, address);
  record.transport_delta = replace_delta(vip + to_be(service.vip.port).raw, address + record.port.raw);
  record.in_use = 1;
  record.mtu = backend_mtu(hop.mtu, service.mode, at);
  record.state = static_cast<u32>(state_of(backend));
  return record;
}

}  // namespace weir::table

// SPDX-License-Identifier: Apache-2.0
#include "tools/lbsim/flows.hpp"

#include <algorithm>

#include "control/model/text.hpp"

namespace weir::lbsim {
namespace {

Result<u32> id_of(const std::function<u32(const std::string&)>& find, const std::string& name) {
  if (const u32 id = find(name); id != 0) return id;
  return fail(Fault::invalid, "the world names \"{}\", which is not in the configuration", name);
}

Result<> set_rows(const RowSetting& setting, const Ids& ids, TableMemory& tables) {
  const auto id = id_of(ids.service, setting.service);
  if (!id) return tl::unexpected(id.error());
  Service& service = tables.services[*id];
  const u64 table = service.table;
  const auto backend = [&](const std::string& name, u32 otherwise) -> Result<u32> {
    if (name.empty()) return otherwise;
    return id_of(ids.backend, setting.service + "/" + name);
  };
  const auto owner = backend(setting.owner, row_owner(tables.rows[table_first_row(table)]));
  if (!owner) return tl::unexpected(owner.error());
  const auto stable = backend(setting.stable, *owner);
  if (!stable) return tl::unexpected(stable.error());
  for (u32 i = 0; i < 1U << table_log2_rows(table); ++i)
    store_once(tables.rows[table_first_row(table) + i], make_row(setting.state, *owner, *stable));
  store_once(service.timeouts, timeouts_word(ticks_of_seconds(setting.idle), ticks_of_seconds(setting.idle_closing)));
  if (setting.track_all) store_once(service.table, table | table_track_all);
  return {};
}

Result<> put_flow(const FlowSetting& setting, const Ids& ids, const TableMemory& tables, FlowMemory& flows) {
  const auto service = id_of(ids.service, setting.service);
  if (!service) return tl::unexpected(service.error());
  const auto backend = id_of(ids.backend, setting.service + "/" + setting.backend);
  if (!backend) return tl::unexpected(backend.error());
  const Ip& source = setting.source.address;
  const Service& record = tables.services[*service];
  const Be16 port = setting.port != 0 ? to_be(setting.port) : record.port;
  const FlowKey key{{u64{source.word[0]} | u64{source.word[1]} << 32, u64{source.word[2]} | u64{source.word[3]} << 32,
                     u64{to_be(setting.source.port).raw} | u64{port.raw} << 16 | u64{*service} << 32}};
  const u64 hash = key_hash(tables.globals->keys, key);
  const u64 udp = record.protocol == Protocol::udp ? flow_udp : 0;
  const u32 tick = first_tick - (setting.idle == 0 ? 0 : ticks_of_seconds(setting.idle));
  FlowBucket& bucket = setting.kind == FlowKind::embryo ? flows.embryos[embryo_bucket(hash, flow_sizes)]
                                                        : flows.flows[first_bucket(hash, flow_sizes)];
  for (FlowEntry& entry : bucket.entry) {
    if (is_flow(entry.word)) continue;
    entry = {key, flow_word(*backend, setting.kind, setting.flags | udp, tick)};
    return {};
  }
  return fail(Fault::invalid, "the world puts more flows into one bucket than it has room for");
}

}  // namespace

Result<> set_flows(const World& world, const Ids& ids, TableMemory& tables, FlowMemory& flows) {
  for (Service& service : tables.services)
    if (service.in_use != 0 && service.timeouts == 0)
      service.timeouts =
          timeouts_word(ticks_of_seconds(RowSetting{}.idle), ticks_of_seconds(RowSetting{}.idle_closing));
  for (const RowSetting& setting : world.rows)
    if (auto set = set_rows(setting, ids, tables); !set) return set;
  for (const BackendSetting& setting : world.backends) {
    const auto id = id_of(ids.backend, setting.name);
    if (!id) return tl::unexpected(id.error());
    store_once(tables.backends[*id].state, static_cast<u32>(setting.state));
  }
  flows.header->still_tick = first_tick;
  for (const FlowSetting& setting : world.flows)
    if (auto put = put_flow(setting, ids, tables, flows); !put) return put;
  return {};
}

std::vector<std::string> list_flows(const FlowMemory& flows, const std::function<std::string(u32)>& service_name,
                                    const std::function<std::string(u32)>& backend_name) {
  std::vector<std::string> all;
  const u32 now = flows.header->still_tick;
  const auto list = [&](std::span<const FlowBucket> buckets) {
    for (const FlowBucket& bucket : buckets)
      for (const FlowEntry& entry : bucket.entry) {
        if (!is_flow(entry.word)) continue;
        const std::string backend = backend_name(flow_backend(entry.word));
        const model::Endpoint source{key_source(entry.key), to_host(Be16{static_cast<u16>(key_ports(entry.key))})};
        std::string line = fmt::format("{} {} {} {}", service_name(key_service(entry.key)), model::to_text(source),
                                       backend.substr(backend.find('/') + 1),
                                       flow_kind(entry.word) == FlowKind::embryo ? "new" : "established");
        for (u32 i = 0; i < flow_flag_names.size(); ++i)
          if (entry.word >> (flow_flags_shift + i) & 1) line += fmt::format(" {}", flow_flag_names[i]);
        if (const u32 age = age_of(flow_tick(entry.word), now); age != 0)
          line += fmt::format(" idle={}", ((u64{age} << tick_shift) + 500'000'000) / 1'000'000'000);
        all.push_back(std::move(line));
      }
  };
  list(flows.embryos);
  list(flows.flows);
  std::sort(all.begin(), all.end());
  return all;
}

void copy_flows(const FlowMemory& from, FlowMemory& to) {
  *to.header = *from.header;
  std::copy(from.embryos.begin(), from.embryos.end(), to.embryos.begin());
  std::copy(from.flows.begin(), from.flows.end(), to.flows.begin());
  std::copy(from.ghosts.begin(), from.ghosts.end(), to.ghosts.begin());
}

}  // namespace weir::lbsim

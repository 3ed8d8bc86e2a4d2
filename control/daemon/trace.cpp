// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/trace.hpp"

#include "control/daemon/report.hpp"
#include "control/model/text.hpp"
#include "dataplane/core/decide.hpp"

namespace weir::daemon {
namespace {

using nlohmann::json;

void set_address(Be32& field, const Ip& ip) { field.raw = ip.word[3]; }
void set_address(Be32 (&field)[4], const Ip& ip) {
  for (u32 i = 0; i < 4; ++i) field[i].raw = ip.word[i];
}

/// The packet that the query describes, as parsing would have left it.
template <class Net>
Packet<Net> packet_of(const api::TraceQuery& query) {
  Packet<Net> packet;
  set_address(packet.net.source, query.source.address);
  set_address(packet.net.destination, query.destination.address);
  packet.ports = u32{to_be(query.source.port).raw} | u32{to_be(query.destination.port).raw} << 16;
  packet.protocol = static_cast<u8>(query.protocol);
  packet.ttl = 64;
  packet.syn = query.syn;
  return packet;
}

/// What the core decided, and on the way to it.
struct Decision {
  Verdict verdict = Verdict::not_ours;
  u32 service_id = 0;
  u32 backend_id = nobody;
  u64 hop = 0;
  const Port* egress = nullptr;
};

/// Names for what the decision points at.
struct Named {
  std::string service;
  std::string backend;
  std::string address;
};
Named names_of(const Decision& d, const model::Pool& pool, const table::Publisher& publisher) {
  for (const auto& [name, service] : pool.services()) {
    const table::Placed* placed = publisher.placed(name);
    if (!placed || placed->id != d.service_id) continue;
    for (const model::Backend& backend : service->backends)
      if (d.backend_id != nobody && backend_id(*placed, backend) == d.backend_id)
        return {name, backend.name, model::to_text(backend.endpoint)};
    return {name, "", ""};
  }
  return {};
}

template <class Net>
json explain(const api::TraceQuery& query, const model::Pool& pool, FastPath& fast_path) {
  // Towards a client the kernel's routes decide, packet by packet; the trace stops at the translation.
  const MemoryTables tables(fast_path.memory(), [](const Ip&, const Ip&, u32) {
    return Route{Verdict::returned_nat, 0};
  });
  const Globals& globals = *fast_path.memory().globals;
  const Packet<Net> packet = packet_of<Net>(query);
  Decision d;
  d.service_id = find(tables, globals, packet.net.destination,
                      key_word(KeyKind::service, packet.protocol, packet.destination_port()));
  const Service* service = tables.service(d.service_id);
  const bool forward = d.service_id != 0 && service;
  if (forward) {
    d.backend_id = pick(tables, globals, *service, packet);
  } else {
    d.backend_id =
        find(tables, globals, packet.net.source, key_word(KeyKind::answer, packet.protocol, packet.source_port()));
    if (const Backend* backend = tables.backend(d.backend_id); backend && d.backend_id != nobody)
      d.service_id = backend->service;
  }
  d.verdict = assign(tables, globals, packet, [&d](const auto& t) {
    d.hop = t.hop;
    d.egress = &t.egress;
    return t.verdict;
  });
  const VerdictInfo& info = verdict_table[static_cast<u32>(d.verdict)];
  const Named named = names_of(d, pool, fast_path.publisher());

  std::vector<std::string> lines;
  json document = {
      {"verdict", info.name}, {"action", action_text(info.action)}, {"service", named.service}, {"hash", nullptr},
      {"row", nullptr},       {"backend", named.backend},           {"address", named.address}, {"egress", ""},
      {"next_hop_mac", ""}};
  lines.push_back(fmt::format("packet    {} {} -> {}", model::to_text(query.protocol), model::to_text(query.source),
                              model::to_text(query.destination)));
  if (!named.service.empty()) lines.push_back(fmt::format("service   {} (id {})", named.service, d.service_id));
  if (forward) {
    const u64 table = load_once(service->table);
    const u64 hash = flow_hash(globals.keys, table_hash(table), packet.net, packet.ports, packet.protocol);
    const u32 row = row_index(table, hash) - table_first_row(table);
    document["hash"] = fmt::format("{:016x}", hash);
    document["row"] = row;
    lines.push_back(fmt::format("hash      {:016x} over {}", hash,
                                table_hash(table) == HashOn::source ? "the source address" : "the 5-tuple"));
    lines.push_back(fmt::format("row       {} of {}", row, 1U << table_log2_rows(table)));
  }
  if (!named.backend.empty())
    lines.push_back(
        fmt::format("backend   {}/{} {} (id {})", named.service, named.backend, named.address, d.backend_id));
  if (d.egress) {
    const auto link = fast_path.watcher().link(static_cast<int>(d.egress->ifindex));
    document["egress"] = link ? link->name : "";
    document["next_hop_mac"] = net::mac_text(hop_mac(d.hop));
    lines.push_back(fmt::format("next hop  {} via {}", net::mac_text(hop_mac(d.hop)), link ? link->name : "?"));
  } else if (d.verdict == Verdict::returned_nat) {
    lines.push_back("next hop  by the kernel's route to the client");
  }
  lines.push_back(fmt::format("verdict   {} ({}): {}", info.name, action_text(info.action), info.meaning));
  document["lines"] = std::move(lines);
  return document;
}

}  // namespace

Result<json> report_trace(const api::TraceQuery& query, const model::Pool& pool, FastPath& fast_path) {
  const bool v4 = is_v4(query.source.address);
  if (v4 != is_v4(query.destination.address))
    return fail(Fault::invalid, "source {} and destination {} are of different address families",
                model::to_text(query.source), model::to_text(query.destination));
  return v4 ? explain<V4>(query, pool, fast_path) : explain<V6>(query, pool, fast_path);
}

}  // namespace weir::daemon

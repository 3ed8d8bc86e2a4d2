// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/trace.hpp"

#include <cstring>
#include <optional>
#include <vector>

#include "control/daemon/names.hpp"
#include "control/daemon/report.hpp"
#include "control/model/text.hpp"
#include "dataplane/core/decide.hpp"
#include "dataplane/core/encap.hpp"

namespace weir::daemon {
namespace {

using nlohmann::json;

constexpr u8 data_offset = 5 << 4;  // a TCP header without options

/// Stores `ip` in a header's field of its own family.
template <class Field>
void set_address(Field* field, const Ip& ip) {
  std::memcpy(field, is_v4(ip) ? &ip.word[3] : ip.word, sizeof *field);
}

/// The shortest packet that the query describes. The Ethernet header in front of it, which says no more than that it is
/// for one of this host's interfaces, is left out.
template <class Net>
std::vector<u8> packet_of(const api::TraceQuery& query) {
  typename IpHeader<Net>::Type ip{};
  const bool tcp = query.protocol == Protocol::tcp;
  const u16 payload = tcp ? sizeof(Tcp) : sizeof(Udp);
  if constexpr (Net::v6) {
    ip.version_class_label = to_be(u32{6} << 28);
    ip.payload_length = to_be(payload);
    ip.next_header = static_cast<u8>(query.protocol);
    ip.hop_limit = outer_ttl;
  } else {
    ip.version_ihl = 0x45;
    ip.total_length = to_be(static_cast<u16>(sizeof(Ipv4) + payload));
    ip.ttl = outer_ttl;
    ip.protocol = static_cast<u8>(query.protocol);
  }
  set_address(&ip.source, query.source.address);
  set_address(&ip.destination, query.destination.address);
  const Be16 from = to_be(query.source.port);
  const Be16 to = to_be(query.destination.port);
  const Tcp segment{from, to, {}, {}, data_offset, query.syn ? tcp_syn : tcp_ack, {}, {}, {}};
  const Udp datagram{from, to, to_be(payload), {}};
  std::vector<u8> bytes(sizeof ip + payload);
  std::memcpy(bytes.data(), &ip, sizeof ip);
  std::memcpy(bytes.data() + sizeof ip, tcp ? static_cast<const void*>(&segment) : &datagram, payload);
  return bytes;
}

/// The outer headers of a tunnel mode; ports only with gue.
struct OuterHeaders {
  Ip source;
  Ip destination;
  std::optional<u16> source_port;
  u16 destination_port = 0;
};

/// What the core decided, and on the way to it.
struct Decision {
  Verdict verdict = Verdict::not_ours;
  u32 service_id = 0;
  u32 backend_id = nobody;
  u64 hop = 0;
  const Port* egress = nullptr;
  std::optional<OuterHeaders> outer;
};

/// Reads the outer headers off what the core writes.
OuterHeaders outer_of(const Tunnel& tunnel, const Service& service, const Backend& backend, u64 hash) {
  u8 bytes[sizeof(Ipv6) + gue_length] = {};
  const Frame frame{bytes, bytes + sizeof bytes};
  const Outer header{0, 0, 0, flow_spread(hash)};
  OuterHeaders outer{};
  outer.destination = backend.address;
  if (is_v4(backend.address)) {
    write_outer4(frame, 0, tunnel, backend.address, header);
    outer.source = ip_from_v4(header_at<Ipv4>(frame, 0)->source);
  } else {
    write_outer6(frame, 0, tunnel, backend.address, header);
    for (u32 i = 0; i < 4; ++i) outer.source.word[i] = header_at<Ipv6>(frame, 0)->source[i].raw;
  }
  if (service.mode == Mode::gue) {
    write_gue(frame, sizeof(Ipv6), tunnel, header.spread, 0, 0);
    const auto* udp = header_at<Udp>(frame, sizeof(Ipv6));
    outer.source_port = to_host(udp->source);
    outer.destination_port = to_host(udp->destination);
  }
  return outer;
}

/// Stands where an engine sends: notes what would be sent, and sends nothing.
struct Note {
  Decision& decision;
  const Globals& globals;

  template <class T>
  Verdict operator()(const T& t) const {
    decision.hop = t.hop;
    decision.egress = &t.egress;
    if constexpr (T::how == How::encapsulate)
      decision.outer = outer_of(present_tunnel(globals), t.service, t.backend, t.hash);
    return t.verdict;
  }
  template <class Net>
  Verdict operator()(const TooBig<Net>&) const {
    return Verdict::too_big;
  }
  template <class Net>
  Verdict operator()(const Reset<Net>&) const {
    return Verdict::answered_reset;
  }
  template <class Net>
  Verdict operator()(const ControlMessage<Net>&) const {
    return Verdict::icmp_not_balanced;
  }
};

json outer_json(const OuterHeaders& outer) {
  json document = {{"source", model::to_text(outer.source)}, {"destination", model::to_text(outer.destination)}};
  if (outer.source_port) {
    document["source_port"] = *outer.source_port;
    document["destination_port"] = outer.destination_port;
  }
  return document;
}

std::string outer_line(const OuterHeaders& outer) {
  const std::string addresses =
      fmt::format("outer     {} -> {}", model::to_text(outer.source), model::to_text(outer.destination));
  if (!outer.source_port) return addresses;
  return fmt::format("{}, UDP port {} -> {}", addresses, *outer.source_port, outer.destination_port);
}

/// The live tables; a packet that is asked about leaves no trace in the flow table.
struct LookingTables : MemoryTables {
  using MemoryTables::MemoryTables;
  [[nodiscard]] u64 recall(const FlowQuery& query) const { return consult_flow(*this, query); }
  void note(const FlowKey&, u32) const {}
};

const char* state_text(RowState state) {
  switch (state) {
    case RowState::settled:
      return "settled";
    case RowState::moving:
      return "moving";
    case RowState::pinned:
      return "pinned";
  }
  return "unknown";
}

/// What row and flow table say of a flow, each for itself.
struct Memory {
  bool asked = false;  ///< whether the flow table has a say
  bool known = false;  ///< whether it knows the flow
  bool ended = false;  ///< by the operator
};
template <class Net>
Memory consult(const LookingTables& tables, const Pick& p, const Service& service, u32 service_id,
               const Packet<Net>& packet, u32& backend) {
  Memory memory{.asked = p.asks_memory()};
  if (!memory.asked) return memory;
  const FlowQuery query = flow_query(p, service, service_id, packet.net, packet.ports, packet.protocol, packet.flags);
  const u64 recalled = consult_flow(tables, query);
  u64 word = 0;
  memory.known = find_flow(tables, query.key, key_hash(tables.globals()->keys, query.key), word) &&
                 !is_expired(word, query.timeouts, tables.tick()) && flow_backend(word) == recalled_backend(recalled);
  memory.ended = (recalled & recalled_ended) != 0;
  backend = recalled_backend(recalled);
  return memory;
}

void add_row(json& document, std::vector<std::string>& lines, const Pick& p, const Memory& memory, const Names& names) {
  const u32 row = p.row - table_first_row(p.table);
  const RowState state = row_state(p.row_word);
  document["hash"] = fmt::format("{:016x}", p.hash);
  document["row"] = row;
  document["row_state"] = state_text(state);
  document["row_owner"] = names.backend(row_owner(p.row_word));
  document["row_stable_owner"] = names.backend(row_stable(p.row_word));
  document["from"] = memory.known ? "flow entry" : "row";
  document["ended"] = memory.ended;
  lines.push_back(fmt::format("hash      {:016x} over {}", p.hash,
                              table_hash(p.table) == HashOn::source ? "the source address" : "the 5-tuple"));
  const auto shown = [&](u32 id) { return id == nobody ? std::string("nobody") : names.backend(id); };
  std::string line = fmt::format("row       {} of {}", row, 1U << table_log2_rows(p.table));
  if (state != RowState::settled)
    line += fmt::format(", {}, owner {}", state_text(state), shown(row_owner(p.row_word)));
  if (state == RowState::moving) line += fmt::format(", before {}", shown(row_stable(p.row_word)));
  lines.push_back(std::move(line));
  if (memory.asked)
    lines.push_back(fmt::format("flows     {}", memory.known ? "know the flow: it stays where it is"
                                                             : "do not know the flow: the row decides"));
  if (memory.ended) lines.emplace_back("ended     by the operator: TCP is answered with a RST, UDP is dropped");
}

template <class Net>
json explain(const api::TraceQuery& query, const model::Pool& pool, FastPath& fast_path) {
  // Towards a client the kernel's routes decide, packet by packet; the trace stops at the translation.
  MemoryFlows flows;
  flows.memory = fast_path.flows();
  flows.tick = present_tick;
  const LookingTables tables(
      fast_path.memory(),
      [](const Ip&, const Ip&, u32) {
        return Route{Verdict::returned_nat, 0};
      },
      [] { return true; }, flows);
  const Globals& globals = *fast_path.memory().globals;
  std::vector<u8> bytes = packet_of<Net>(query);
  const Frame frame{bytes.data(), bytes.data() + bytes.size()};
  Packet<Net> packet;
  parse_network(frame, 0, packet);
  Decision d;
  d.service_id = find_service(tables, globals, packet.net.destination, packet.protocol, packet.destination_port());
  const Service* service = tables.service(d.service_id);
  const bool forward = d.service_id != 0 && service;
  Pick p{};
  Memory memory;
  if (forward) {
    p = pick(tables, globals, *service, packet.net, packet.ports, packet.protocol);
    d.backend_id = p.backend;
    memory = consult(tables, p, *service, d.service_id, packet, d.backend_id);
  } else {
    d.backend_id = find_answering(tables, globals, packet.net.source, packet.protocol, packet.source_port());
    if (const Backend* backend = tables.backend(d.backend_id); backend && d.backend_id != nobody)
      d.service_id = backend->service;
  }
  d.verdict = balance<Net>(frame, 0, tables, globals, Note{d, globals});
  const VerdictInfo& info = verdict_table[static_cast<u32>(d.verdict)];
  const Names names(pool, fast_path);
  const std::string service_name = names.service(d.service_id);
  const std::string backend_name = names.backend(d.backend_id);
  std::string address;
  if (const Backend* backend = tables.backend(d.backend_id); backend && d.backend_id != nobody)
    address = model::to_text(model::Endpoint{backend->address, to_host(backend->port)});

  std::vector<std::string> lines;
  json document = {{"verdict", info.name},
                   {"action", action_text(info.action)},
                   {"service", service_name},
                   {"hash", nullptr},
                   {"row", nullptr},
                   {"backend", backend_name},
                   {"row_state", nullptr},
                   {"row_owner", nullptr},
                   {"row_stable_owner", nullptr},
                   {"from", nullptr},
                   {"ended", false},
                   {"address", address},
                   {"egress", ""},
                   {"next_hop_mac", ""},
                   {"outer", nullptr}};
  lines.push_back(fmt::format("packet    {} {} -> {}", model::to_text(query.protocol), model::to_text(query.source),
                              model::to_text(query.destination)));
  if (!service_name.empty()) lines.push_back(fmt::format("service   {} (id {})", service_name, d.service_id));
  if (forward) add_row(document, lines, p, memory, names);
  if (!backend_name.empty())
    lines.push_back(fmt::format("backend   {}/{} {} (id {})", service_name, backend_name, address, d.backend_id));
  if (d.outer) {
    document["outer"] = outer_json(*d.outer);
    lines.push_back(outer_line(*d.outer));
  }
  if (d.egress) {
    const auto link = fast_path.watcher().link(static_cast<int>(d.egress->ifindex));
    document["egress"] = link ? link->name : "";
    document["next_hop_mac"] = net::mac_text(hop_mac(d.hop));
    lines.push_back(fmt::format("next hop  {} via {}", net::mac_text(hop_mac(d.hop)), link ? link->name : "?"));
  } else if (d.verdict == Verdict::returned_nat) {
    lines.emplace_back("next hop  by the kernel's route to the client");
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

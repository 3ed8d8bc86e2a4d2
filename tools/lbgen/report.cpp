// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/report.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "control/model/text.hpp"
#include "control/net/next_hop.hpp"
#include "tools/lbctl/table.hpp"

namespace weir::lbgen {
namespace {

using lbctl::Align;
using lbctl::Table;
using Json = nlohmann::ordered_json;

constexpr std::array<const char*, bpf::generate_kinds> kind_names{"syn", "ack", "data", "udp"};

const char* word(Ended ended) {
  if (ended == Ended::packets) return "packets";
  return ended == Ended::signal ? "signal" : "seconds";
}

/// Per second; 0 for a run too short to tell.
double rate(u64 packets, double seconds) { return seconds > 0 ? static_cast<double>(packets) / seconds : 0; }

std::string protocol_name(const bpf::CountKey& key) {
  if (key.family == 0) return "other";
  switch (key.protocol) {
    case 1:
      return "icmp";
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 58:
      return "icmp6";
    default:
      return fmt::format("{}", key.protocol);
  }
}

/// "syn,ack": names of the bits, lowest first (RFC 9293, 3.1).
std::string flag_names(const bpf::CountKey& key) {
  constexpr std::array<const char*, 8> names{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
  std::string text;
  for (u32 bit = 0; bit < names.size(); ++bit)
    if ((key.flags >> bit & 1) != 0) text += fmt::format("{}{}", text.empty() ? "" : ",", names[bit]);
  return text;
}

/// Rows with the most packets first.
std::vector<std::pair<bpf::CountKey, bpf::CountRow>> sorted(const bpf::Counted& counted) {
  auto rows = counted.rows;
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    const auto key = [](const bpf::CountKey& k) { return std::array{k.family, k.protocol, k.flags}; };
    if (a.second.packets != b.second.packets) return a.second.packets > b.second.packets;
    return std::pair(key(a.first), a.first.port) < std::pair(key(b.first), b.first.port);
  });
  return rows;
}

u64 bytes_of(const SendReport& report, u32 kind) { return report.sent.packets[kind] * report.plan.kinds[kind].length; }

}  // namespace

std::string as_text(const SendReport& report) {
  Table kinds({{"KIND"}, {"PACKETS", Align::right}, {"BYTES", Align::right}, {"FRAME", Align::right}});
  u64 bytes = 0;
  for (u32 kind = 0; kind < bpf::generate_kinds; ++kind) {
    bytes += bytes_of(report, kind);
    if (report.plan.kinds[kind].length != 0)
      kinds.add({kind_names[kind], fmt::format("{}", report.sent.packets[kind]),
                 fmt::format("{}", bytes_of(report, kind)), fmt::format("{}", report.plan.kinds[kind].length)});
  }
  kinds.add({"all", fmt::format("{}", report.sent.all()), fmt::format("{}", bytes), ""});
  return fmt::format("{}\n{} -> {} through {} to {}, seed {}\n{:.3f} s, {:.0f} packets/s, {} counted {}, ended by {}\n",
                     kinds.text(), model::to_text(report.order.from), model::to_text(report.order.to), report.interface,
                     net::mac_text(report.order.destination_mac), report.order.seed, report.sent.seconds,
                     rate(report.sent.all(), report.sent.seconds), report.interface, report.left,
                     word(report.sent.ended));
}

std::string as_json(const SendReport& report) {
  Json kinds = Json::object();
  u64 bytes = 0;
  for (u32 kind = 0; kind < bpf::generate_kinds; ++kind) {
    bytes += bytes_of(report, kind);
    if (report.plan.kinds[kind].length != 0)
      kinds[kind_names[kind]] = {{"packets", report.sent.packets[kind]},
                                 {"bytes", bytes_of(report, kind)},
                                 {"frame_bytes", report.plan.kinds[kind].length}};
  }
  return Json{{"interface", report.interface},
              {"from", model::to_text(report.order.from)},
              {"to", model::to_text(report.order.to)},
              {"mac", net::mac_text(report.order.destination_mac)},
              {"seed", report.order.seed},
              {"flows", report.order.flows ? Json(*report.order.flows) : Json(nullptr)},
              {"cpus", report.workers},
              {"packets", report.sent.all()},
              {"bytes", bytes},
              {"kinds", kinds},
              {"seconds", report.sent.seconds},
              {"packets_per_second", rate(report.sent.all(), report.sent.seconds)},
              {"interface_counted", report.left},
              {"ended", word(report.sent.ended)}}
             .dump(2) +
         "\n";
}

std::string as_text(const std::string& interface, const Received& received) {
  Table rows({{"FAMILY"},
              {"PROTOCOL"},
              {"FLAGS"},
              {"PORT", Align::right},
              {"PACKETS", Align::right},
              {"BYTES", Align::right}});
  for (const auto& [key, row] : sorted(received.counted))
    rows.add({key.family == 0 ? "-" : fmt::format("{}", key.family), protocol_name(key), flag_names(key),
              key.port == 0 ? "" : fmt::format("{}", key.port), fmt::format("{}", row.packets),
              fmt::format("{}", row.bytes)});
  const auto& total = received.counted.total;
  return fmt::format(
      "{}\n{} {}: TCP and UDP {} packets, {} bytes; {:.3f} s, {:.0f} packets/s\nothers {}, in no row {}, ended by {}\n",
      rows.text(), interface, received.native ? "native" : "generic", total.packets, total.bytes, received.seconds,
      rate(total.packets, received.seconds), total.others, total.unlisted,
      received.idle ? "idle" : word(received.ended));
}

std::string as_json(const std::string& interface, const Received& received) {
  Json rows = Json::array();
  for (const auto& [key, row] : sorted(received.counted))
    rows.push_back({{"family", key.family},
                    {"protocol", protocol_name(key)},
                    {"flags", flag_names(key)},
                    {"port", key.port},
                    {"packets", row.packets},
                    {"bytes", row.bytes}});
  const auto& total = received.counted.total;
  return Json{{"interface", interface},
              {"attached", received.native ? "native" : "generic"},
              {"packets", total.packets},
              {"bytes", total.bytes},
              {"others", total.others},
              {"unlisted", total.unlisted},
              {"seconds", received.seconds},
              {"packets_per_second", rate(total.packets, received.seconds)},
              {"rows", rows},
              {"ended", received.idle ? "idle" : word(received.ended)}}
             .dump(2) +
         "\n";
}

}  // namespace weir::lbgen

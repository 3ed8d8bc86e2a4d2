// SPDX-License-Identifier: Apache-2.0
#include "tests/support/world.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "control/model/text.hpp"
#include "control/table/records.hpp"

namespace weir::testing {
namespace {

Ip ip(const std::string& text) { return model::parse_ip(text).value(); }

struct Row {
  const char* protocol;
  const char* vip;
  u16 port;
  Mode mode;
  const char* backends;  // "near": of the VIP's family; "far": of the other; "all": near, for every port in mode nat
  u16 backend_port;
  HashOn hash = HashOn::five_tuple;
  u32 mss = 0;
};

const model::Seed seed = {9, 8, 7, 6, 5, 4, 3, 2, 1};

constexpr Row rows[] = {
    {"tcp", "10", 80, Mode::nat, "near", 8080},
    {"tcp", "10", 443, Mode::nat, "near", 8443, HashOn::five_tuple, 1200},
    {"udp", "10", 53, Mode::nat, "near", 5353, HashOn::source},
    {"tcp", "20", 80, Mode::l2dsr, "near", 80, HashOn::source, 1300},
    {"udp", "20", 53, Mode::l2dsr, "near", 53},
    {"tcp", "40", 443, Mode::l2dsr, "near", 443},
    {"tcp", "50", 80, Mode::nat, "", 80},
    {"tcp", "60", 80, Mode::ipip, "near", 80, HashOn::five_tuple, 1400},
    {"udp", "60", 53, Mode::ipip, "near", 53, HashOn::source},
    {"tcp", "61", 80, Mode::ipip, "far", 80, HashOn::source, 536},
    {"udp", "61", 53, Mode::ipip, "far", 53},
    {"tcp", "70", 80, Mode::gue, "near", 80, HashOn::source},
    {"udp", "70", 53, Mode::gue, "near", 53},
    {"tcp", "71", 80, Mode::gue, "far", 80, HashOn::five_tuple, 1000},
    {"udp", "71", 53, Mode::gue, "far", 53, HashOn::source},
    {"tcp", "80", 0, Mode::nat, "all", 0, HashOn::five_tuple, 1250},
    {"udp", "80", 0, Mode::ipip, "near", 0, HashOn::source},
    {"tcp", "81", 0, Mode::gue, "far", 0, HashOn::source},
    {"tcp", "81", 443, Mode::l2dsr, "near", 443},
    {"udp", "81", 0, Mode::nat, "all", 0, HashOn::source},
};

model::Service service(const Row& row, bool v6) {
  const model::Endpoint vip{ip(fmt::format(fmt::runtime(v6 ? "2001:db8:f::{}" : "203.0.113.{}"), row.vip)), row.port};
  const std::string backends = row.backends;
  model::Service s{.name = fmt::format("{}-{}-{}-{}", row.protocol, row.vip, row.port, v6 ? 6 : 4),
                   .vip = vip,
                   .protocol = row.protocol[0] == 't' ? Protocol::tcp : Protocol::udp,
                   .mode = row.mode,
                   .hash = row.hash,
                   .rows = 256,
                   .mss = row.mss};
  if (backends.empty()) return s;
  const bool backend_v6 = v6 != (backends == "far");
  const int net = backends == "all" ? 101 : is_tunnel(row.mode) ? 102 : 100;
  for (int i = 1; i <= 4; ++i)
    s.backends.push_back(
        {.name = fmt::format("b{}", i),
         .endpoint = {ip(backend_v6 ? fmt::format("2001:db8:b:{}::{}", net, i) : fmt::format("198.51.{}.{}", net, i)),
                      row.backend_port}});
  return s;
}

u32 last_byte(const Ip& address) { return __builtin_bswap32(address.word[3]) & 0xff; }

void set_globals(Globals& globals) {
  globals.icmp_rate = 0xffff'ffff;
  for (Tunnel& tunnel : globals.tunnels) {
    tunnel.source6 = ip("2001:db8:e::");
    tunnel.spread6 = 0xffff'ffff;
    tunnel.source4 = ip("198.18.0.0").word[3];
    tunnel.spread4 = to_be(u32{0x0000'ffff}).raw;
    tunnel.gue_port = to_be(u16{6080});
  }
}

table::Hop hop(const Ip& backend, u32 ingress, u32 other) {
  const u32 last = last_byte(backend);
  if (last == 4) return {};
  // Long enough for an answer that quotes as much as it may.
  const u32 mtu = last != 2 ? 1500 : is_v4(backend) ? 700 : 1340;
  return {hop_word(0x1000'0000'0002 + (u64{last} << 40), port_index(last == 3 ? other : ingress)), mtu};
}

}  // namespace

std::vector<model::Service> world_services() {
  std::vector<model::Service> services;
  for (const Row& row : rows)
    for (const bool v6 : {false, true}) services.push_back(service(row, v6));
  return services;
}

bool world_is_local(const Ip& vip) { return vip == ip("203.0.113.40") || vip == ip("2001:db8:f::40"); }

TableSizes world_sizes() { return sizes_for(64, 256, 1 << 14); }

std::unique_ptr<table::Publisher> publish_world(TableMemory& memory, u32 ingress, u32 other) {
  initialise(memory, table::flow_keys(seed));
  set_globals(*memory.globals);
  memory.ports[port_index(ingress)] = {0xaa00'0000'0002, ingress, 0};
  memory.ports[port_index(other)] = {0xab00'0000'0002, other, 0};
  auto publisher = std::make_unique<table::Publisher>(
      memory, seed,
      table::Surroundings{[ingress, other](const Ip& backend) { return hop(backend, ingress, other); }, world_is_local,
                          [](u32) {}, [](u32) {}});
  model::Plan plan;
  for (const model::Service& s : world_services())
    plan.steps.push_back({s.name, nullptr, std::make_shared<model::Service>(s)});
  if (auto done = publisher->apply(plan); !done) throw std::runtime_error(done.error().message);
  return publisher;
}

}  // namespace weir::testing

// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/twins.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "control/model/text.hpp"
#include "tests/support/laws.hpp"
#include "tests/support/test_run.hpp"

namespace weir::testing {
namespace {

constexpr MacBits gateway_mac = 0x7700'0000'0002;

void must(const char* command) {
  if (std::system(command) != 0) throw std::runtime_error(fmt::format("failed: {}", command));
}

Ip ip(const std::string& text) { return model::parse_ip(text).value(); }
bool starts_with(const Ip& address, const Ip& prefix, int words16) {
  return std::memcmp(reinterpret_cast<const u8*>(&address), reinterpret_cast<const u8*>(&prefix),
                     static_cast<std::size_t>(words16) * 2) == 0;
}

/// A network namespace of this process alone: one interface, a route with a neighbour and one without.
u32 make_network() {
  if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("cannot make a network namespace: run as root");
  must("ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
  must("ip addr add 192.0.2.200/32 dev v0 && ip -6 addr add 2001:db8:ff::1/128 dev v0 nodad");
  must("ip route add 192.0.2.201 dev v0 && ip route add 192.0.2.202 dev v0");
  must("ip -6 route add 2001:db8:ff::2 dev v0 && ip -6 route add 2001:db8:ff::3 dev v0");
  must("ip neigh add 192.0.2.201 lladdr 02:00:00:00:00:77 dev v0");
  must("ip neigh add 2001:db8:ff::2 lladdr 02:00:00:00:00:77 dev v0");
  must("ip route add 198.18.0.0/16 via 192.0.2.201 && ip route add 198.19.0.0/16 via 192.0.2.202");
  must("ip route add 198.18.128.0/17 via 192.0.2.201 mtu lock 1000");
  must("ip -6 route add 2001:db8:1:8000::/49 via 2001:db8:ff::2 mtu lock 1300");
  must("ip route add unreachable 192.0.2.9 && ip -6 route add unreachable 2001:db8:3::9");
  must("ip -6 route add 2001:db8:1::/48 via 2001:db8:ff::2 && ip -6 route add 2001:db8:2::/48 via 2001:db8:ff::3");
  must("echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  return if_nametoindex("v0");
}

std::unique_ptr<bpf::Engine> loaded() {
  auto engine = bpf::Engine::load({.sizes = world_sizes(), .flow_sizes = Twins::flow_sizes, .still_clock = true});
  if (!engine) throw std::runtime_error(engine.error());
  return std::move(*engine);
}

bool same_bytes(const auto& a, const auto& b) { return std::memcmp(a.data(), b.data(), a.size_bytes()) == 0; }

bool same(const EndedFlow& a, const EndedFlow& b) {
  return a.source == b.source && a.ports == b.ports && a.service_id == b.service_id && a.sequence == b.sequence &&
         a.ingress == b.ingress;
}

}  // namespace

Twins::Twins()
    : ingress_(make_network()),
      engine_(loaded()),
      counters_(world_sizes().services),
      native_(
          memory(), [this](const Ip& client, const Ip&, u32 length) { return route(client, length); },
          [this] { return memory().globals->icmp_rate != 0; },
          MemoryFlows{flows_.memory(), [this] { return flows().header->still_tick; }, counters_,
                      [this](const EndedFlow& flow) { ended_.push_back(flow); }}) {
  publisher_ = publish_world(memory(), ingress_, ingress_ + 7);
  REQUIRE(engine_->add_device(port_index(ingress_ + 7), ingress_));
}

std::string Twins::difference(const Bytes& frame) {
  const auto kernel = run(engine_->program_fd(), frame, ingress_);
  if (kernel.error != 0) return fmt::format("test run failed: {}", kernel.error);
  const Outcome native = native_.run(frame, ingress_);
  const auto index = static_cast<u32>(native.verdict);
  ++seen_[index];
  if (engine_->counting().verdict(index).packets != seen_[index]) {
    std::string all;
    const auto totals = engine_->counting().verdicts();
    for (u32 v = 0; v < verdict_count; ++v)
      if (totals[v].packets != seen_[v])
        all += fmt::format(" {} kernel {} native {}", verdict_table[v].name, totals[v].packets, seen_[v]);
    return "verdicts differ:" + all;
  }
  const Action action = action_of(native.verdict);
  const u32 expected = action == Action::pass      ? u32{XDP_PASS}
                       : action == Action::drop    ? u32{XDP_DROP}
                       : native.egress == ingress_ ? u32{XDP_TX}
                                                   : u32{XDP_REDIRECT};
  if (kernel.action != expected) return fmt::format("action {} instead of {}", kernel.action, expected);
  if (kernel.frame != native.frame) return fmt::format("bytes differ after {}", verdict_table[index].name);
  if (std::string why = flow_difference(); !why.empty()) return why;
  return broken_law(frame, native);
}

std::string Twins::flow_difference() {
  const FlowMemory& kernel = engine_->flows();
  const FlowMemory& native = flows_.memory();
  if (!same_bytes(kernel.embryos, native.embryos)) return "the nurseries differ";
  if (!same_bytes(kernel.flows, native.flows)) return "the flow tables differ";
  if (!same_bytes(kernel.ghosts, native.ghosts)) return "the ghosts differ";
  std::vector<EndedFlow> ended;
  engine_->drain_resets([&](const EndedFlow& flow) { ended.push_back(flow); });
  const bool alike = std::equal(ended.begin(), ended.end(), ended_.begin(), ended_.end(), same);
  ended_.clear();
  return alike ? "" : "other flows are reported as ended";
}

void Twins::expect_same(const Bytes& frame) {
  ++checked_;
  const std::string why = difference(frame);
  if (why.empty()) return;
  std::string hex;
  for (const u8 byte : frame) hex += fmt::format("{:02x}", byte);
  FAIL(why << "\nframe " << hex);
}

void Twins::expect_same_flow_counters() {
  for (u32 id = 0; id < counters_.size(); ++id) {
    const FlowCounters kernel = engine_->counting().flows(id);
    INFO("service " << id);
    CHECK(std::memcmp(&kernel, &counters_[id], sizeof kernel) == 0);
  }
}

FlowCounters Twins::counted() const {
  FlowCounters total{};
  for (const FlowCounters& one : counters_)
    for (u64 FlowCounters::*field :
         {&FlowCounters::hits, &FlowCounters::remembered, &FlowCounters::promoted, &FlowCounters::reselected,
          &FlowCounters::expired, &FlowCounters::evicted_embryo, &FlowCounters::evicted_established,
          &FlowCounters::evicted_udp, &FlowCounters::misroutes, &FlowCounters::resets})
      total.*field += one.*field;
  return total;
}

void Twins::set_tick(u32 tick) { engine_->flows().header->still_tick = flows().header->still_tick = tick; }

void Twins::forget() {
  for (FlowMemory* memory : {&engine_->flows(), &flows_.memory()}) {
    std::memset(memory->embryos.data(), 0, memory->embryos.size_bytes());
    std::memset(memory->flows.data(), 0, memory->flows.size_bytes());
    std::memset(memory->ghosts.data(), 0, memory->ghosts.size_bytes());
  }
}

Route Twins::route(const Ip& client, u32 length) const {
  const bool v4 = is_v4(client);
  const bool near = starts_with(client, v4 ? ip("198.18.0.0") : ip("2001:db8:1::"), v4 ? 7 : 3);
  const bool far = starts_with(client, v4 ? ip("198.19.0.0") : ip("2001:db8:2::"), v4 ? 7 : 3);
  if (near || far) {
    const u8 third = reinterpret_cast<const u8*>(&client)[v4 ? 14 : 6];
    const u32 mtu = near && third >= 0x80 ? (v4 ? 1000 : 1300) : 1500;
    if (length > mtu) return {Verdict::too_big, 0, mtu};
  }
  // A damaged byte can make the client the gateway itself, or the neighbour that does not answer.
  if (client == ip("192.0.2.201") || client == ip("2001:db8:ff::2"))
    return {Verdict::returned_nat, hop_word(gateway_mac, port_index(ingress_))};
  if (client == ip("192.0.2.202") || client == ip("2001:db8:ff::3")) return {Verdict::client_no_neighbor, 0};
  if (near) return {Verdict::returned_nat, hop_word(gateway_mac, port_index(ingress_))};
  if (far) return {Verdict::client_no_neighbor, 0};
  if (client == ip("192.0.2.9") || client == ip("2001:db8:3::9")) return {Verdict::client_no_route, 0};
  return {Verdict::answer_not_forwarded, 0};
}

Twins& twins() {
  static Twins both;
  return both;
}

}  // namespace weir::testing

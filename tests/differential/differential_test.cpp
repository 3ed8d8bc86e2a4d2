// SPDX-License-Identifier: Apache-2.0
// The same frames through the core compiled for this host and through the XDP program in the kernel: same verdict, same
// action, same bytes. Both read the very same tables. WEIR_DIFFERENTIAL_PACKETS sets the number of random packets.
#define CATCH_CONFIG_MAIN
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "bpf/loader.hpp"
#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/records.hpp"
#include "dataplane/core/rewrite.hpp"
#include "tests/differential/packets.hpp"
#include "tests/support/test_run.hpp"

namespace {

using namespace weir;
using testing::Bytes;

const model::Seed seed = {9, 8, 7, 6, 5, 4, 3, 2, 1};
constexpr MacBits own_mac = 0xaa00'0000'0002;
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
  must("ip route add unreachable 192.0.2.9 && ip -6 route add unreachable 2001:db8:3::9");
  must("ip -6 route add 2001:db8:1::/48 via 2001:db8:ff::2 && ip -6 route add 2001:db8:2::/48 via 2001:db8:ff::3");
  must("echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  return if_nametoindex("v0");
}

model::Service service(const std::string& name, const std::string& vip, Mode mode, const std::string& backend, u16 port,
                       HashOn hash = HashOn::five_tuple) {
  const model::Vip parsed = model::parse_vip(vip).value();
  model::Service s{
      .name = name, .vip = parsed.endpoint, .protocol = parsed.protocol, .mode = mode, .hash = hash, .rows = 256};
  for (int i = 1; i <= 4; ++i)
    s.backends.push_back({fmt::format("b{}", i), {ip(fmt::format("{}{}", backend, i)), port}});
  return s;
}

/// Both engines over one set of tables.
class Twins {
 public:
  Twins() : ingress_(make_network()) {
    auto loaded = bpf::Engine::load({"", sizes_for(32, 256, 1 << 14)});
    if (!loaded) throw std::runtime_error(loaded.error());
    engine_ = std::move(*loaded);
    TableMemory& memory = engine_->memory();
    initialise(memory, table::flow_keys(seed));
    memory.ports[port_index(ingress_)] = {own_mac, ingress_, 0};
    memory.ports[port_index(ingress_ + 7)] = {own_mac + 1, ingress_ + 7, 0};
    REQUIRE(engine_->add_device(port_index(ingress_ + 7), ingress_));
    publisher_ = std::make_unique<table::Publisher>(
        memory, seed,
        table::Surroundings{
            [this](const Ip& address) { return hop_of(address); },
            [](const Ip& address) { return address == ip("203.0.113.40") || address == ip("2001:db8:f::40"); },
            [](u32) {}, [](u32) {}});
    model::Plan plan;
    for (const auto& [v, b] : {std::pair{"203.0.113.", "198.51.100."}, std::pair{"[2001:db8:f::", "2001:db8:b::"}}) {
      const std::string end = v[0] == '[' ? "]" : "";
      const auto vip = [&, prefix = std::string(v)](const char* p, const char* host, int port) {
        return fmt::format("{}:{}{}{}:{}", p, prefix, host, end, port);
      };
      const std::string f = v[0] == '[' ? "6" : "4";
      for (const model::Service& s : {service("nat" + f, vip("tcp", "10", 80), Mode::nat, b, 8080),
                                      service("dns" + f, vip("udp", "10", 53), Mode::nat, b, 5353, HashOn::source),
                                      service("dsr" + f, vip("tcp", "20", 80), Mode::l2dsr, b, 80, HashOn::source),
                                      service("dsrdns" + f, vip("udp", "20", 53), Mode::l2dsr, b, 53),
                                      service("local" + f, vip("tcp", "40", 443), Mode::l2dsr, b, 443)})
        plan.steps.push_back({s.name, nullptr, std::make_shared<model::Service>(s)});
      model::Service empty = service("empty" + f, vip("tcp", "50", 80), Mode::nat, b, 80);
      empty.backends.clear();
      plan.steps.push_back({empty.name, nullptr, std::make_shared<model::Service>(empty)});
    }
    REQUIRE(publisher_->apply(plan));
  }

  /// Empty when the engines agree on `frame`, else what differs.
  std::string difference(Bytes frame) {
    const auto kernel = testing::run(engine_->program_fd(), frame, ingress_);
    if (kernel.error != 0) return fmt::format("test run failed: {}", kernel.error);
    const MemoryTables tables(engine_->memory(), [this](const Ip& client, const Ip&, u32) { return route(client); });
    const std::size_t length = frame.size();
    // An allocation of just this size, so that AddressSanitizer sees a read beyond it.
    const std::unique_ptr<u8[]> bytes(new u8[length]);
    std::memcpy(bytes.get(), frame.data(), length);
    const Frame view{bytes.get(), bytes.get() + length};
    u32 egress = 0;
    const Verdict verdict = decide(view, tables, ingress_, [&](const auto& t) {
      egress = t.egress.ifindex;
      return rewrite(view, t);
    });
    ++seen_[static_cast<u32>(verdict)];

    const auto index = static_cast<u32>(verdict);
    const u64 counted = engine_->counting().verdict(index).packets;
    if (counted != seen_[index]) {
      std::string all;
      const auto totals = engine_->counting().verdicts();
      for (u32 v = 0; v < verdict_count; ++v)
        if (totals[v].packets != seen_[v])
          all += fmt::format(" {} kernel {} native {}", verdict_table[v].name, totals[v].packets, seen_[v]);
      return "verdicts differ:" + all;
    }
    const u32 expected = action_of(verdict) == Action::pass   ? u32{XDP_PASS}
                         : action_of(verdict) == Action::drop ? u32{XDP_DROP}
                         : egress == ingress_                 ? u32{XDP_TX}
                                                              : u32{XDP_REDIRECT};
    if (kernel.action != expected) return fmt::format("action {} instead of {}", kernel.action, expected);
    if (kernel.frame.size() != length || std::memcmp(kernel.frame.data(), bytes.get(), length) != 0)
      return fmt::format("bytes differ after {}", verdict_table[index].name);
    return {};
  }

  void expect_same(const Bytes& frame) {
    ++checked_;
    const std::string why = difference(frame);
    if (why.empty()) return;
    std::string hex;
    for (const u8 byte : frame) hex += fmt::format("{:02x}", byte);
    FAIL(why << "\nframe " << hex);
  }

  [[nodiscard]] u64 seen(Verdict verdict) const { return seen_[static_cast<u32>(verdict)]; }
  [[nodiscard]] u64 checked() const { return checked_; }

 private:
  // Backend 1 and 2 by the ingress port, 3 by another one, 4 not resolved.
  [[nodiscard]] table::Hop hop_of(const Ip& address) const {
    const u32 last = __builtin_bswap32(address.word[3]) & 0xff;
    if (last == 4) return {0, 1500};
    return {hop_word(0x1000'0000'0002 + (u64{last} << 40), port_index(last == 3 ? ingress_ + 7 : ingress_)), 1500};
  }
  [[nodiscard]] Route route(const Ip& client) const {
    const bool v4 = is_v4(client);
    if (starts_with(client, v4 ? ip("198.18.0.0") : ip("2001:db8:1::"), v4 ? 7 : 3))
      return {Verdict::returned_nat, hop_word(gateway_mac, port_index(ingress_))};
    if (starts_with(client, v4 ? ip("198.19.0.0") : ip("2001:db8:2::"), v4 ? 7 : 3))
      return {Verdict::client_no_neighbor, 0};
    if (client == ip("192.0.2.9") || client == ip("2001:db8:3::9")) return {Verdict::client_no_route, 0};
    return {Verdict::answer_not_forwarded, 0};
  }

  u32 ingress_;
  std::unique_ptr<bpf::Engine> engine_;
  std::unique_ptr<table::Publisher> publisher_;
  u64 seen_[verdict_count] = {};
  u64 checked_ = 0;
};

Twins& twins() {
  static Twins both;
  return both;
}

}  // namespace

TEST_CASE("sound frames of every family, mode and VLAN depth have the same fate in both engines") {
  for (const Bytes& frame : testing::sound_frames()) twins().expect_same(frame);
  CHECK(twins().seen(Verdict::forwarded_nat) > 0);
  CHECK(twins().seen(Verdict::forwarded_l2dsr) > 0);
  CHECK(twins().seen(Verdict::returned_nat) > 0);
  CHECK(twins().seen(Verdict::client_no_neighbor) > 0);
  CHECK(twins().seen(Verdict::client_no_route) > 0);
}

TEST_CASE("boundary frames have the same fate in both engines") {
  for (const Bytes& frame : testing::boundary_frames()) twins().expect_same(frame);
}

TEST_CASE("random frames have the same fate in both engines") {
  const char* wanted = std::getenv("WEIR_DIFFERENTIAL_PACKETS");
  const u64 count = wanted ? std::strtoull(wanted, nullptr, 10) : 300000;
  testing::Random random(20240607);
  for (u64 i = 0; i < count; ++i) twins().expect_same(testing::random_frame(random));
  fmt::print("differential: {} frames, 0 differences\n", twins().checked());
}

TEST_CASE("the frames reach every verdict that a frame can reach") {
  for (u32 v = 0; v < verdict_count; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    // These need another state of the host or of the tables than this test has.
    if (verdict == Verdict::client_forwarding_off || verdict == Verdict::client_egress_unattached ||
        verdict == Verdict::internal_table)
      continue;
    INFO(verdict_table[v].name);
    CHECK(twins().seen(verdict) > 0);
  }
}

// SPDX-License-Identifier: Apache-2.0
// The same frames through the core compiled for this host and through the XDP program in the kernel: same verdict, same
// action, same egress, same bytes. Both read the very same tables, those of tests/support/world.hpp.
// WEIR_DIFFERENTIAL_PACKETS sets the number of random packets; scripts/dev differential takes 5 million.
#define CATCH_CONFIG_MAIN
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>

#include "bpf/loader.hpp"
#include "control/model/text.hpp"
#include "dataplane/memory/host_engine.hpp"
#include "tests/differential/packets.hpp"
#include "tests/support/laws.hpp"
#include "tests/support/test_run.hpp"
#include "tests/support/world.hpp"

namespace {

using namespace weir;
using testing::Bytes;

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

/// Both engines over one set of tables.
class Twins {
 public:
  Twins()
      : ingress_(make_network()),
        engine_(loaded()),
        native_(
            engine_->memory(), [this](const Ip& client, const Ip&, u32 length) { return route(client, length); },
            [this] { return engine_->memory().globals->icmp_rate != 0; }) {
    publisher_ = testing::publish_world(engine_->memory(), ingress_, ingress_ + 7);
    REQUIRE(engine_->add_device(port_index(ingress_ + 7), ingress_));
  }

  /// Empty when the engines agree on `frame`, else what differs.
  std::string difference(const Bytes& frame) {
    const auto kernel = testing::run(engine_->program_fd(), frame, ingress_);
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
    return testing::broken_law(frame, native);
  }

  void expect_same(const Bytes& frame) {
    ++checked_;
    const std::string why = difference(frame);
    if (why.empty()) return;
    std::string hex;
    for (const u8 byte : frame) hex += fmt::format("{:02x}", byte);
    FAIL(why << "\nframe " << hex);
  }

  /// How many ICMP messages either engine may send itself: any number, or none.
  void allow_answers(bool allow) { store_once(engine_->memory().globals->icmp_rate, allow ? 0xffff'ffffU : 0U); }

  [[nodiscard]] u64 seen(Verdict verdict) const { return seen_[static_cast<u32>(verdict)]; }
  [[nodiscard]] u64 checked() const { return checked_; }

 private:
  static std::unique_ptr<bpf::Engine> loaded() {
    auto engine = bpf::Engine::load({"", testing::world_sizes(), flow_sizes_for(256, 64)});
    if (!engine) throw std::runtime_error(engine.error());
    return std::move(*engine);
  }
  /// The routes of make_network() as the kernel's FIB has them: length first, then the neighbour.
  [[nodiscard]] Route route(const Ip& client, u32 length) const {
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

  u32 ingress_;
  std::unique_ptr<bpf::Engine> engine_;
  HostEngine native_;
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
  CHECK(twins().seen(Verdict::forwarded_ipip) > 0);
  CHECK(twins().seen(Verdict::forwarded_gue) > 0);
  CHECK(twins().seen(Verdict::forwarded_icmp) > 0);
  CHECK(twins().seen(Verdict::returned_icmp) > 0);
  CHECK(twins().seen(Verdict::answered_echo) > 0);
  CHECK(twins().seen(Verdict::answered_too_big) > 0);
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

TEST_CASE("where no answer may be sent, both engines say so and leave the frame as it is") {
  twins().allow_answers(false);
  testing::Random random(7);
  for (u64 i = 0; i < 20000; ++i) twins().expect_same(testing::random_frame(random));
  twins().allow_answers(true);
  CHECK(twins().seen(Verdict::answer_rate_limited) > 0);
}

TEST_CASE("the frames reach every verdict that a frame can reach") {
  for (u32 v = 0; v < verdict_count; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    // These need another state of the host or of the tables than this test has; every test run has headroom.
    if (verdict == Verdict::client_forwarding_off || verdict == Verdict::client_egress_unattached ||
        verdict == Verdict::internal_table || verdict == Verdict::no_headroom)
      continue;
    INFO(verdict_table[v].name);
    CHECK(twins().seen(verdict) > 0);
  }
}

// SPDX-License-Identifier: Apache-2.0
// Who gets which flow, measured on packets through the XDP program: shares, how little moves on a change, affinity.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>

#include "bpf/loader.hpp"
#include "control/model/pool.hpp"
#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/records.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/test_run.hpp"

namespace {

using namespace weir;
using testing::Bytes;

const model::Seed seed = {2, 7, 1, 8, 2, 8, 1, 8};
constexpr u32 loopback = 1;  // exists in every network namespace
constexpr std::size_t count = 100'000;

model::Service service(bool v6, const std::vector<u32>& weights, HashOn hash = HashOn::five_tuple) {
  model::Service s{.name = "web",
                   .vip = model::parse_endpoint(v6 ? "[2001:db8:f::10]:80" : "203.0.113.10:80").value(),
                   .hash = hash};
  for (std::size_t i = 0; i < weights.size(); ++i)
    s.backends.push_back({fmt::format("b{}", i),
                          model::parse_endpoint(v6 ? fmt::format("[2001:db8:b::{:x}]:8080", i + 1)
                                                   : fmt::format("198.51.100.{}:8080", i + 1))
                              .value(),
                          weights[i]});
  return s;
}
std::vector<u32> equal(std::size_t backends) { return std::vector<u32>(backends, 100); }

model::Service without(model::Service s, std::size_t backend) {
  s.backends.erase(s.backends.begin() + static_cast<long>(backend));
  return s;
}

/// One host: a loaded program with its own tables, and the services that it was told of.
class Node {
 public:
  Node() {
    auto loaded = bpf::Engine::load({"", sizes_for(4, 64, 1 << 18), flow_sizes_for(256, 64)});
    if (!loaded) throw std::runtime_error(loaded.error());
    engine_ = std::move(*loaded);
    TableMemory& memory = engine_->memory();
    initialise(memory, table::flow_keys(seed));
    memory.ports[port_index(loopback)] = {0xaa00'0000'0002, loopback, 0};
    publisher_ = std::make_unique<table::Publisher>(
        memory, seed,
        table::Surroundings{[](const Ip&) {
                              return table::Hop{hop_word(0xb000'0000'0002, port_index(loopback)), 1500};
                            },
                            [](const Ip&) { return false; }, [](u32) {}, [](u32) {}});
  }

  void want(const model::Service& wanted) {
    auto plan = pool_.plan(model::Replace{{wanted}}, true);
    REQUIRE(plan);
    REQUIRE(publisher_->apply(*plan));
    pool_.commit(*plan);
  }

  /// The last byte of the backend's address that `frame` is sent to.
  u32 pick(const Bytes& frame) {
    const auto result = testing::run(engine_->program_fd(), frame, loopback);
    if (result.error != 0 || result.action != XDP_TX)
      throw std::runtime_error(fmt::format("error {}, action {}", result.error, result.action));
    return result.frame[result.frame[12] == 0x86 ? 53 : 33];
  }
  std::vector<u32> picks(const std::vector<Bytes>& frames) {
    std::vector<u32> all;
    for (const Bytes& frame : frames) all.push_back(pick(frame));
    return all;
  }

  /// The rows by their owners' endpoints.
  [[nodiscard]] std::vector<std::string> rows() {
    const table::Placed& placed = *publisher_->placed("web");
    std::map<u32, std::string> names;
    for (const auto& [endpoint, id] : placed.backends) names[id] = endpoint;
    std::vector<std::string> all;
    for (u32 i = 0; i < placed.rows; ++i) all.push_back(names[row_owner(engine_->memory().rows[placed.first_row + i])]);
    return all;
  }
  /// Packets by the last byte of the backend's address, and the service's.
  [[nodiscard]] std::map<u32, u64> counted(const model::Service& s) {
    std::map<u32, u64> packets;
    for (const auto& b : s.backends)
      packets[__builtin_bswap32(b.endpoint.address.word[3]) & 0xff] =
          engine_->counting().backend(publisher_->placed("web")->backends.at(model::to_text(b.endpoint))).packets;
    return packets;
  }
  [[nodiscard]] Counters service_counters() { return engine_->counting().service(publisher_->placed("web")->id); }

 private:
  std::unique_ptr<bpf::Engine> engine_;
  model::Pool pool_{model::Limits{}};
  std::unique_ptr<table::Publisher> publisher_;
};

Bytes syn(bool v6, u32 client, u16 port) {
  return testing::make_frame(
      {.source = v6 ? fmt::format("2001:db8:1::{:x}:{:x}", client >> 16, client & 0xffff)
                    : fmt::format("10.{}.{}.{}", client >> 16 & 0xff, client >> 8 & 0xff, client & 0xff),
       .destination = v6 ? "2001:db8:f::10" : "203.0.113.10",
       .source_port = port,
       .destination_port = 80,
       .tcp_flags = 0x02,
       .payload = 0});
}

/// 100,000 SYNs with random clients and ports, the same at every call.
const std::vector<Bytes>& syns(bool v6) {
  static const auto make = [](bool six) {
    std::mt19937_64 random(20240607);
    std::vector<Bytes> frames;
    for (std::size_t i = 0; i < count; ++i) {
      const u64 n = random();
      frames.push_back(syn(six, static_cast<u32>(n & 0xffffff), static_cast<u16>(1024 + (n >> 32) % 64000)));
    }
    return frames;
  };
  static const std::vector<Bytes> both[2] = {make(false), make(true)};
  return both[v6];
}

std::map<u32, u64> tally(const std::vector<u32>& picks) {
  std::map<u32, u64> shares;
  for (const u32 pick : picks) ++shares[pick];
  return shares;
}
double percent(u64 part) { return 100.0 * static_cast<double>(part) / static_cast<double>(count); }

/// The share of flows, in percent, whose backend stays in service and that still go elsewhere.
double moved(const std::vector<u32>& before, const std::vector<u32>& after, u32 gone) {
  u64 stayers = 0, changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == gone) continue;
    ++stayers;
    changed += before[i] != after[i];
  }
  return 100.0 * static_cast<double>(changed) / static_cast<double>(stayers);
}

/// What a table-less balancer does: hash modulo the number of backends.
std::vector<u32> by_modulo(const std::vector<Bytes>& frames, u32 backends) {
  std::vector<u32> picks;
  for (const Bytes& frame : frames) {
    u64 hash = 0xcbf2'9ce4'8422'2325;
    for (std::size_t i = 26; i < 38; ++i) hash = (hash ^ frame[i]) * 0x100'0000'01b3;
    picks.push_back(1 + static_cast<u32>((hash >> 32) % backends));
  }
  return picks;
}

}  // namespace

TEST_CASE("ten equal backends get a tenth of the flows each, and a removal moves few of the others'") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    Node node;
    const model::Service ten = service(v6, equal(10));
    node.want(ten);
    const std::vector<u32> before = node.picks(syns(v6));
    const auto shares = tally(before);
    REQUIRE(shares.size() == 10);
    for (const auto& [backend, flows] : shares) CHECK(std::abs(percent(flows) - 10.0) <= 0.3);
    node.want(without(ten, 3));
    CHECK(moved(before, node.picks(syns(v6)), 4) <= 0.5);
  }
}

TEST_CASE("control: modulo hashing fails the bound on what a removal moves") {
  const auto ten = by_modulo(syns(false), 10);
  auto nine = by_modulo(syns(false), 9);
  for (u32& pick : nine) pick += pick >= 4;  // the fourth is gone
  CHECK(moved(ten, nine, 4) > 50.0);
}

TEST_CASE("two hosts with one seed have the same rows, in whatever order the backends came") {
  for (const bool v6 : {false, true}) {
    const model::Service ordered = service(v6, {100, 50, 100, 25, 100, 100, 75});
    model::Service shuffled = ordered;
    std::shuffle(shuffled.backends.begin(), shuffled.backends.end(), std::mt19937(5));
    REQUIRE_FALSE(shuffled == ordered);
    Node one, other;
    one.want(ordered);
    for (std::size_t i = 1; i <= shuffled.backends.size(); ++i) {  // one by one, so with other ids
      model::Service part = shuffled;
      part.backends.resize(i);
      other.want(part);
    }
    CHECK(one.rows() == other.rows());
    for (std::size_t i = 0; i < 1000; ++i) REQUIRE(one.pick(syns(v6)[i]) == other.pick(syns(v6)[i]));
  }
}

TEST_CASE("flows follow the weights, and halving a weight moves little more than it must") {
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    Node node;
    node.want(service(v6, {1, 2, 3, 4}));
    for (const auto& [backend, flows] : tally(node.picks(syns(v6))))
      CHECK(std::abs(percent(flows) - 10.0 * backend) <= 0.5);

    node.want(service(v6, equal(4)));
    const auto before = node.rows();
    node.want(service(v6, {50, 100, 100, 100}));
    const auto after = node.rows();
    u64 changed = 0;
    for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != after[i];
    const double share = 100.0 * static_cast<double>(changed) / static_cast<double>(before.size());
    CHECK(share >= 10.7);
    CHECK(share <= 11.5);
  }
}

TEST_CASE("with the source hash a client keeps its backend on every port, and while another backend leaves") {
  for (const bool v6 : {false, true}) {
    Node node;
    const model::Service ten = service(v6, equal(10), HashOn::source);
    node.want(ten);
    std::vector<Bytes> one_client;
    for (u16 port = 2000; port < 3000; ++port) one_client.push_back(syn(v6, 0x1234, port));
    const auto shares = tally(node.picks(one_client));
    REQUIRE(shares.size() == 1);
    const u32 owner = shares.begin()->first;
    node.want(without(ten, owner % 10));  // not the owner, whose index is owner - 1
    CHECK(tally(node.picks(one_client)) == shares);
    std::vector<Bytes> clients;
    for (u32 client = 0; client < 1000; ++client) clients.push_back(syn(v6, client * 7919, 2000));
    CHECK(tally(node.picks(clients)).size() == 9);
  }
}

TEST_CASE("the counters of the backends are the packets that each was sent, and sum to the service's") {
  for (const bool v6 : {false, true}) {
    Node node;
    const model::Service ten = service(v6, equal(10));
    node.want(ten);
    const auto shares = tally(node.picks(syns(v6)));
    CHECK(node.counted(ten) == shares);
    const Counters total = node.service_counters();
    CHECK(total.packets == count);
    CHECK(total.connections == count);
    CHECK(total.bytes == count * syns(v6)[0].size());
    CHECK(total.return_packets == 0);
  }
}

// SPDX-License-Identifier: Apache-2.0
// Tables in ordinary memory with a publisher in front and the core behind: what a test puts in, a frame meets.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/model/pool.hpp"
#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/records.hpp"
#include "dataplane/memory/host_engine.hpp"
#include "tests/support/frames.hpp"

namespace weir::testing {

inline Ip ip(const std::string& text) { return model::parse_ip(text).value(); }

/// "198.51.100.1:8080" with a weight; the name is the endpoint's.
inline model::Backend backend(const std::string& endpoint, u32 weight = 100, Admin admin = Admin::active) {
  const model::Endpoint at = model::parse_endpoint(endpoint).value();
  return {.name = model::backend_name(at), .endpoint = at, .weight = weight, .admin = admin};
}

/// What is removed from it goes at once.
inline model::Service service(const std::string& name, const std::string& vip, std::vector<model::Backend> backends,
                              Mode mode = Mode::nat, u32 rows = 256) {
  const model::Vip parsed = model::parse_vip(vip).value();
  return {.name = name,
          .vip = parsed.endpoint,
          .protocol = parsed.protocol,
          .mode = mode,
          .hash = HashOn::five_tuple,
          .rows = rows,
          .on_remove = model::OnRemove::rehash,
          .backends = std::move(backends)};
}

class Bed {
 public:
  static constexpr u32 ingress = 5;
  static constexpr u32 egress = 9;
  static constexpr MacBits own_mac = 0xaa00'0000'0002;  // the frames' default destination
  static constexpr MacBits egress_mac = 0xee00'0000'0002;
  static constexpr MacBits backend_mac = 0xb000'0000'0002;
  static constexpr MacBits gateway_mac = 0x7700'0000'0002;

  explicit Bed(const TableSizes& sizes = sizes_for(16, 64, 1 << 14)) : tables_(sizes) {
    initialise(memory(), table::flow_keys(seed));
    memory().ports[port_index(ingress)] = {own_mac, ingress, 0};
    memory().ports[port_index(egress)] = {egress_mac, egress, 0};
    restart();
  }

  /// A new publisher over the same memory, with no services wanted yet.
  void restart() {
    pool_ = model::Pool({});
    publisher_ = std::make_unique<table::Publisher>(
        memory(), seed,
        table::Surroundings{[this](const Ip& address) {
                              const auto set = hops.find(model::to_text(address));
                              const u64 word =
                                  set == hops.end() ? hop_word(backend_mac, port_index(egress)) : set->second;
                              return table::Hop{word, mtu};
                            },
                            [this](const Ip& address) { return local.contains(model::to_text(address)); },
                            [this](u32 id) { services_given.push_back(id); },
                            [this](u32 id) {
                              backends_given.push_back(id);
                              if (on_backend) on_backend(id);
                            }});
  }

  Result<> try_replace(const std::vector<model::Service>& services) {
    auto plan = pool_.plan(model::Replace{services}, /*force=*/true);
    if (!plan) FAIL(plan.error().message);
    auto done = publisher_->apply(*plan);
    if (done) pool_.commit(*plan);
    return done;
  }
  /// These services and no others.
  void replace(const std::vector<model::Service>& services) {
    if (auto done = try_replace(services); !done) FAIL(done.error().message);
  }

  [[nodiscard]] MemoryTables view() {
    return {memory(), [this](const Ip&, const Ip&, u32) { return route; }};
  }
  /// What the fast path makes of `frame`; rewrites it.
  Verdict send(Bytes& frame) {
    const HostEngine engine(memory(), [this](const Ip&, const Ip&, u32) { return route; });
    Outcome outcome = engine.run(frame, ingress);
    left_by = outcome.egress;
    frame = std::move(outcome.frame);
    return outcome.verdict;
  }
  Verdict verdict_of(Bytes frame) { return send(frame); }

  /// The value in the index, by the core's own look-up.
  u32 look_up(KeyKind kind, const std::string& address, u16 port, u8 protocol) {
    const u32 key = key_word(kind, protocol, to_be(port));
    const Ip at = ip(address);
    if (is_v4(at)) return find(view(), *memory().globals, Be32{at.word[3]}, key);
    const Be32 words[4] = {{at.word[0]}, {at.word[1]}, {at.word[2]}, {at.word[3]}};
    return find(view(), *memory().globals, words, key);
  }
  u32 service_at(const std::string& address, u16 port, u8 protocol = 6) {
    return look_up(KeyKind::service, address, port, protocol);
  }
  u32 answer_at(const std::string& address, u16 port, u8 protocol = 6) {
    return look_up(KeyKind::answer, address, port, protocol);
  }
  u32 fragments_at(const std::string& address, u8 protocol = 6) {
    return look_up(KeyKind::fragment, address, 0, protocol);
  }
  u32 answer_fragments_at(const std::string& address, u8 protocol = 6) {
    return look_up(KeyKind::answer_fragment, address, 0, protocol);
  }
  bool expected(const std::string& address) {
    const u32 bit = address_bit(address_word(ip(address)), memory().globals->filter_shift);
    return memory().filter[bit / 64] >> bit % 64 & 1;
  }
  u32 vip_at(const std::string& address) { return look_up(KeyKind::vip, address, 0, 0); }

  TableMemory& memory() { return tables_.memory(); }
  table::Publisher& publisher() { return *publisher_; }

  std::map<std::string, u64> hops;  // by the address's text; resolved where nothing is set
  u32 mtu = 1500;                   // on the way to every backend
  std::set<std::string> local;
  Route route{Verdict::returned_nat, hop_word(gateway_mac, port_index(egress))};
  std::vector<u32> services_given, backends_given;
  std::function<void(u32)> on_backend;
  u32 left_by = 0;  // interface of the last frame sent
  static constexpr model::Seed seed = {3, 1, 4, 1, 5, 9, 2, 6};

 private:
  OwnedTables tables_;
  model::Pool pool_{model::Limits{}};
  std::unique_ptr<table::Publisher> publisher_;
};

}  // namespace weir::testing

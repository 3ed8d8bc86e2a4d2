// SPDX-License-Identifier: Apache-2.0
// The flow table by itself: what a packet is told, and what is remembered of it.
// Long because every event meets every state of a row, a backend and an entry on one small bed.
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/core/glance.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace {

using namespace weir;

constexpr u32 web = 1;
constexpr u32 minute = ticks_of_seconds(60);
constexpr u32 hour = ticks_of_seconds(3600);
constexpr u64 timeouts = timeouts_word(hour, minute);

constexpr Row settled(u32 owner) { return settled_row(owner); }
constexpr Row moving(u32 owner, u32 stable) { return make_row(RowState::moving, owner, stable); }
constexpr Row pinned(u32 owner) { return make_row(RowState::pinned, owner, owner); }

FlowKey key_of(u32 client, u32 service = web) {
  return flow_key(V4{to_be(0xc000'0200U + client), to_be(0xcb00'710aU)}, 0x5000'0000U | client, service);
}
FlowQuery packet(u32 client, Row row, u32 flags) { return {key_of(client), row, timeouts, flags, 0}; }
FlowQuery syn(u32 client, Row row) { return packet(client, row, query_syn); }
FlowQuery data(u32 client, Row row) { return packet(client, row, query_ack); }

/// Tables with twenty backends, all open, beside a flow table.
class Bed {
 public:
  explicit Bed(const FlowSizes& sizes = {16, 16, 16})
      : owned_(sizes_for(4, 32, 256)), flows_(sizes), counters_(owned_.memory().services.size()) {
    FlowKeys keys{};
    for (u32 i = 0; i < 12; ++i) keys.add[i] = 0x9e37'79b9U * (i + 1);
    keys.multiply = 0x9e37'79b9'7f4a'7c15ULL;
    initialise(owned_.memory(), keys);
    for (u32 id = 1; id <= 20; ++id) owned_.memory().backends[id].in_use = 1;
  }

  /// What the fast path does with a packet of an unsettled row.
  u64 ask(const FlowQuery& query) const {
    if (const u32 backend = glance(tables_, *tables_.globals(), query)) return recalled(backend, false);
    return tables_.recall(query);
  }
  u32 backend(const FlowQuery& query) const { return recalled_backend(ask(query)); }
  [[nodiscard]] bool ended(const FlowQuery& query) const { return (ask(query) & recalled_ended) != 0; }
  void note(u32 client, u32 flags) const { note_answer(tables_, key_of(client), flags); }
  /// A SYN and one packet more: a flow that is remembered among the established ones.
  void establish(u32 client, u32 owner) const {
    static_cast<void>(ask(syn(client, moving(owner, 9))));
    static_cast<void>(ask(data(client, moving(owner, 9))));
  }
  /// The word of a client's entry, 0 when it is not remembered.
  [[nodiscard]] u64 word(u32 client) const {
    u64 found = 0;
    return find_flow(tables_, key_of(client), key_hash(owned().globals->keys, key_of(client)), found) ? found : 0;
  }
  void mark(u32 client, u64 flags) const {
    u64 found = 0;
    FlowEntry* entry = find_flow(tables_, key_of(client), key_hash(owned().globals->keys, key_of(client)), found);
    REQUIRE(entry);
    entry->word |= flags;
  }
  void state(u32 id, BackendState state) { owned_.memory().backends[id].state = static_cast<u32>(state); }
  [[nodiscard]] const FlowCounters& counters() const { return counters_[web]; }
  [[nodiscard]] const MemoryTables& tables() const { return tables_; }
  [[nodiscard]] FlowMemory& flows() { return flows_.memory(); }

  u32 now = hour * 3;

 private:
  [[nodiscard]] const TableMemory& owned() const { return const_cast<OwnedTables&>(owned_).memory(); }

  OwnedTables owned_;
  OwnedFlows flows_;
  std::vector<FlowCounters> counters_;
  MemoryTables tables_{owned_.memory(), [](const Ip&, const Ip&, u32) { return Route{}; }, [] { return true; },
                       MemoryFlows{flows_.memory(), [this] { return now; }, counters_, [](const EndedFlow&) {}}};
};

}  // namespace

TEST_CASE("a SYN in a moving row goes to the row's owner, and so does what follows, wherever the row moves") {
  Bed bed;
  CHECK(bed.backend(syn(1, moving(2, 1))) == 2);
  CHECK(flow_kind(bed.word(1)) == FlowKind::embryo);
  CHECK(bed.backend(data(1, moving(2, 1))) == 2);
  CHECK(flow_kind(bed.word(1)) == FlowKind::live);
  CHECK(bed.backend(data(1, moving(3, 1))) == 2);
  CHECK(bed.backend(data(1, moving(1, 3))) == 2);
  CHECK(bed.backend(data(1, pinned(4))) == 2);
  CHECK(bed.counters().remembered == 1);
  CHECK(bed.counters().promoted == 1);
  CHECK(bed.counters().hits == 4);
}

TEST_CASE("data of an unknown flow in a moving row goes to the stable owner, and is remembered as known") {
  Bed bed;
  CHECK(bed.backend(data(1, moving(2, 1))) == 1);
  CHECK((bed.word(1) & flow_known) != 0);
  CHECK(bed.backend(data(1, moving(3, 2))) == 1);
  CHECK((bed.word(1) & flow_known) != 0);
}

TEST_CASE("in a pinned row unknown flows are the owner's and none is remembered") {
  Bed bed;
  CHECK(bed.backend(syn(1, pinned(2))) == 2);
  CHECK(bed.backend(data(1, pinned(2))) == 2);
  CHECK(bed.backend(data(2, pinned(2))) == 2);
  CHECK(bed.word(1) == 0);
  CHECK(bed.word(2) == 0);
}

TEST_CASE("a service that tracks all remembers flows of settled and of pinned rows") {
  for (const Row row : {settled(2), pinned(2)}) {
    Bed bed;
    CHECK(bed.backend(packet(1, row, query_syn | query_track_all)) == 2);
    CHECK(bed.backend(packet(1, row, query_ack | query_track_all)) == 2);
    CHECK(flow_kind(bed.word(1)) == FlowKind::live);
    CHECK(bed.backend(packet(2, row, query_ack | query_track_all)) == 2);
    CHECK((bed.word(2) & flow_known) != 0);
  }
}

TEST_CASE("a SYN of a flow that is remembered stays with an open backend, and goes to the owner else") {
  struct Example {
    BackendState state;
    u64 flags;
    u32 goes_to;
  };
  for (const Example& e :
       {Example{BackendState::open, 0, 2}, Example{BackendState::draining, 0, 3}, Example{BackendState::dead, 0, 3},
        Example{BackendState::resetting, 0, 3}, Example{BackendState::open, flow_reset, 3},
        Example{BackendState::open, flow_killed, 3}, Example{BackendState::open, flow_client_fin | flow_backend_fin, 3},
        Example{BackendState::open, flow_client_fin, 2}}) {
    CAPTURE(static_cast<u32>(e.state), e.flags, e.goes_to);
    Bed bed;
    bed.establish(1, 2);
    bed.mark(1, e.flags);
    bed.state(2, e.state);
    CHECK(recalled_backend(consult_flow(bed.tables(), syn(1, moving(3, 2)))) == e.goes_to);
    CHECK(bed.backend(syn(1, moving(3, 2))) == e.goes_to);
    CHECK(flow_backend(bed.word(1)) == e.goes_to);
    CHECK(bed.backend(data(1, moving(4, 2))) == e.goes_to);
    CHECK_FALSE(bed.ended(data(1, moving(4, 2))));
  }
}

TEST_CASE("a SYN in a pinned row makes a flow forgotten whose backend takes no more") {
  Bed bed;
  bed.establish(1, 2);
  bed.state(2, BackendState::draining);
  CHECK(bed.backend(data(1, pinned(3))) == 2);
  CHECK(bed.backend(syn(1, pinned(3))) == 3);
  CHECK(bed.word(1) == 0);
}

TEST_CASE("data of a flow stays with a draining backend, leaves a dead one, and is ended where flows are reset") {
  Bed bed;
  bed.establish(1, 2);
  bed.state(2, BackendState::draining);
  CHECK(bed.backend(data(1, moving(3, 1))) == 2);
  bed.state(2, BackendState::resetting);
  CHECK(bed.ended(data(1, moving(3, 1))));
  CHECK(bed.backend(data(1, moving(3, 1))) == 2);
  bed.state(2, BackendState::dead);
  CHECK_FALSE(bed.ended(data(1, moving(3, 1))));
  CHECK(bed.backend(data(1, moving(3, 1))) == 3);
  CHECK(bed.counters().reselected == 1);
  CHECK(flow_backend(bed.word(1)) == 3);
}

TEST_CASE("where the stable owner is dead, unknown flows go to the owner; where it resets, they are ended") {
  Bed bed;
  bed.state(1, BackendState::dead);
  CHECK(bed.backend(data(1, moving(2, 1))) == 2);
  bed.state(1, BackendState::resetting);
  CHECK(bed.ended(data(2, moving(2, 1))));
  CHECK(bed.word(2) == 0);
  CHECK(row_alone(bed.tables(), moving(2, 1)) == 1);
}

TEST_CASE("a flow that the operator has killed is ended until it opens anew") {
  Bed bed;
  bed.establish(1, 2);
  bed.mark(1, flow_killed);
  CHECK(bed.ended(data(1, moving(2, 1))));
  CHECK(bed.ended(data(1, pinned(2))));
  CHECK((consult_flow(bed.tables(), data(1, moving(2, 1))) & recalled_ended) != 0);
  CHECK_FALSE(bed.ended(syn(1, moving(2, 1))));
  CHECK_FALSE(bed.ended(data(1, moving(2, 1))));
}

TEST_CASE("FINs of both sides, or a RST of either, finish a flow; data after a RST shows that it was not the flow's") {
  Bed bed;
  bed.establish(1, 2);
  CHECK(bed.backend(packet(1, moving(3, 1), query_fin | query_ack)) == 2);
  CHECK_FALSE(is_finished(bed.word(1)));
  bed.note(1, query_fin | query_ack);
  CHECK(is_finished(bed.word(1)));
  bed.establish(2, 2);
  CHECK(bed.backend(packet(2, moving(3, 1), query_rst)) == 2);
  CHECK(is_finished(bed.word(2)));
  CHECK(bed.backend(data(2, moving(3, 1))) == 2);
  CHECK_FALSE(is_finished(bed.word(2)));
  bed.note(2, query_rst);
  CHECK(is_finished(bed.word(2)));
}

TEST_CASE("an unknown RST is forwarded and not remembered") {
  Bed bed;
  CHECK(bed.backend(packet(1, moving(2, 1), query_rst)) == 1);
  CHECK(bed.word(1) == 0);
}

TEST_CASE("a flow is forgotten when it has been silent for its time, and not a tick before") {
  struct Example {
    const char* name;
    bool established;
    u32 flags;  // of a last packet
    u64 mark;
    u32 lasts;
  };
  for (const Example& e :
       {Example{"established", true, query_ack, 0, hour}, Example{"embryo", false, query_syn, 0, embryo_idle},
        Example{"closing", true, query_fin | query_ack, 0, minute}, Example{"reset", true, query_rst, 0, minute},
        Example{"answered with FIN", true, query_ack, flow_backend_fin, minute},
        Example{"killed", true, query_ack, flow_killed, hour}}) {
    INFO(e.name);
    for (const bool over : {false, true}) {
      Bed bed;
      if (e.established) bed.establish(1, 2);
      static_cast<void>(bed.ask(packet(1, moving(2, 1), e.flags)));
      bed.mark(1, e.mark);
      bed.now += e.lasts + over;
      CHECK(recalled_backend(consult_flow(bed.tables(), data(1, moving(3, 1)))) == (over ? 1U : 2U));
      CHECK(bed.backend(data(1, moving(3, 1))) == (over ? 1U : 2U));
      CHECK(bed.counters().expired == over);
    }
  }
}

TEST_CASE("a packet makes a flow last longer") {
  Bed bed;
  bed.establish(1, 2);
  for (int i = 0; i < 5; ++i) {
    bed.now += hour - 1;
    CHECK(bed.backend(data(1, moving(3, 1))) == 2);
  }
}

TEST_CASE("a UDP flow is remembered with its service's time from its first datagram on") {
  Bed bed;
  CHECK(bed.backend(packet(1, moving(2, 1), query_udp)) == 1);
  CHECK((bed.word(1) & flow_udp) != 0);
  bed.now += hour;
  CHECK(bed.backend(packet(1, moving(3, 2), query_udp)) == 1);
  CHECK(flow_kind(bed.word(1)) == FlowKind::live);
}

TEST_CASE("a flood of SYNs evicts embryos alone, and each eviction is counted") {
  Bed bed({4, 4, 4});
  for (u32 client = 1; client <= 4; ++client) bed.establish(client, 2);
  for (u32 client = 100; client < 10'100; ++client) CHECK(bed.backend(syn(client, moving(3, 1))) == 3);
  for (u32 client = 1; client <= 4; ++client) CHECK(bed.backend(data(client, moving(3, 1))) == 2);
  CHECK(bed.counters().evicted_established == 0);
  CHECK(bed.counters().remembered - bed.counters().evicted_embryo <= 4 + 4 * bucket_entries);
  CHECK(bed.counters().evicted_embryo > 9'900);
}

TEST_CASE("a SYN that cannot be entered goes where its next packet, which nobody knows, will go") {
  Bed bed({1, 16, 16});
  for (FlowEntry& entry : bed.flows().embryos[0].entry) entry.word = flow_word(nobody, FlowKind::busy, 0, 0);
  CHECK(bed.backend(syn(1, moving(2, 1))) == 1);
  CHECK(bed.backend(data(1, moving(2, 1))) == 1);
  CHECK(bed.backend(syn(2, pinned(2))) == 2);
  CHECK(bed.counters().remembered == 0);
}

TEST_CASE("an established flow that had to make room and comes back to another backend is counted as a misroute") {
  Bed bed({64, 1, 64});
  for (u32 client = 1; client <= 5; ++client) {
    bed.establish(client, 2);
    ++bed.now;
  }
  CHECK(bed.counters().evicted_established == 1);
  CHECK(bed.word(1) == 0);  // the longest silent
  SECTION("elsewhere") {
    CHECK(bed.backend(data(1, moving(3, 1))) == 1);
    CHECK(bed.counters().misroutes == 1);
    CHECK(bed.backend(data(1, moving(3, 1))) == 1);
    CHECK(bed.counters().misroutes == 1);
  }
  SECTION("where it was") {
    CHECK(bed.backend(data(1, moving(3, 2))) == 2);
    CHECK(bed.counters().misroutes == 0);
  }
  SECTION("with a SYN it is another flow") {
    CHECK(bed.backend(syn(1, moving(3, 2))) == 3);
    CHECK(bed.counters().misroutes == 0);
    bed.now += embryo_idle + 1;
    CHECK(bed.backend(data(1, moving(3, 1))) == 1);
    CHECK(bed.counters().misroutes == 0);
  }
}

TEST_CASE("finished flows make room first, then UDP, then the longest silent") {
  Bed bed({64, 1, 64});
  for (u32 client = 1; client <= 4; ++client) bed.establish(client, 2);
  bed.mark(2, flow_udp);
  bed.mark(3, flow_reset);
  bed.now += 5;
  for (const u32 client : {2U, 3U}) bed.mark(client, u64{5} << 32);
  bed.establish(5, 2);
  CHECK(bed.word(3) == 0);
  bed.establish(6, 2);
  CHECK(bed.word(2) == 0);
  CHECK(bed.word(1) != 0);
  CHECK(bed.counters().evicted_udp == 1);
  CHECK(bed.counters().evicted_established == 0);
}

TEST_CASE("a glance says what the whole look-up says, and leaves the same behind") {
  const FlowSizes sizes{2, 2, 2};
  Bed quick(sizes), whole(sizes);
  std::mt19937_64 random(4);
  for (u32 i = 0; i < 400'000; ++i) {
    const auto below = [&](u64 bound) { return static_cast<u32>(random() % bound); };
    if (below(50) == 0) {
      const u32 id = 1 + below(6);
      const auto state = static_cast<BackendState>(below(4));
      quick.state(id, state);
      whole.state(id, state);
    }
    if (below(20) == 0) quick.now = whole.now += below(3) ? 1 : below(hour);
    const u32 flags = below(3) ? query_ack : below(4) ? below(32) : query_udp;
    const Row row = make_row(static_cast<RowState>(below(3)), 1 + below(6), 1 + below(6));
    const FlowQuery query = packet(1 + below(24), row, flags | (below(4) ? 0 : query_track_all));
    const u64 said = quick.ask(query);
    REQUIRE(said == whole.tables().recall(query));
    REQUIRE(std::memcmp(quick.flows().flows.data(), whole.flows().flows.data(), quick.flows().flows.size_bytes()) == 0);
    REQUIRE(std::memcmp(quick.flows().embryos.data(), whole.flows().embryos.data(),
                        quick.flows().embryos.size_bytes()) == 0);
  }
  CHECK(std::memcmp(&quick.counters(), &whole.counters(), sizeof(FlowCounters)) == 0);
}

TEST_CASE("CPUs that race for one bucket never see a flow with another flow's backend") {
  Bed bed({1, 1, 1});
  constexpr u32 clients = 20;
  std::vector<u64> wrong(3);
  const auto run = [&](u32 cpu) {
    std::mt19937 random(cpu);
    const MemoryTables& tables = bed.tables();
    for (u32 i = 0; i < 2'000'000; ++i) {
      if (cpu == 0 && i % 64 == 0) store_once(bed.now, bed.now + 1);
      const u32 client = 1 + static_cast<u32>(random() % clients);
      const FlowQuery query = packet(client, moving(client, client), random() % 8 == 0 ? query_syn : query_ack);
      const u32 seen = glance(tables, *tables.globals(), query);
      const u32 got = seen ? seen : recalled_backend(tables.recall(query));
      wrong[cpu] += got != client;
    }
  };
  // The control plane frees entries meanwhile.
  const auto sweep = [&] {
    for (u32 i = 0; i < 300'000; ++i) {
      FlowEntry& entry = (i % 2 ? bed.flows().flows : bed.flows().embryos)[0].entry[i % bucket_entries];
      const u64 word = load_once(entry.word);
      if (is_flow(word)) compare_and_swap(entry.word, word, 0);
    }
  };
  std::thread other(run, 1), sweeper(sweep);
  run(0);
  other.join();
  sweeper.join();
  CHECK(wrong[0] == 0);
  CHECK(wrong[1] == 0);
}

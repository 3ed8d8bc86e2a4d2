// SPDX-License-Identifier: Apache-2.0
// The tables wherever they live: spans over memory-mapped BPF arrays, shared memory or plain vectors. Who publishes and
// who reads does not know which.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/core/pick.hpp"
#include "dataplane/core/recall.hpp"
#include "dataplane/core/tables.hpp"
#include "dataplane/memory/flow_memory.hpp"

namespace weir {

struct TableMemory {
  Globals* globals = nullptr;
  std::span<u64> filter;
  std::span<u64> buckets;
  std::span<IndexSlot> slots;
  std::span<Service> services;
  std::span<Row> rows;
  std::span<Backend> backends;
  std::span<Port> ports;
};

/// The tables of an image of `sizes` that starts at `image`, which is aligned to 64 bytes.
[[nodiscard]] TableMemory tables_in(void* image, const TableSizes& sizes);

/// Sizes for at most `services` and `backends` in use and `rows` rows: an index at most half full, so that a bucket
/// finds a displacement within a few tries, and a filter at most an eighth full.
[[nodiscard]] TableSizes sizes_for(u32 services, u32 backends, u32 rows);

/// Writes the globals of a zeroed image: shifts and sizes as its tables are, keys as given.
void initialise(TableMemory& memory, const FlowKeys& keys);

/// The flow table of an engine on the host, and what goes with it. One of zeroes remembers nothing.
struct MemoryFlows {
  FlowMemory memory;
  std::function<u32()> tick = [] { return 0U; };  ///< the time, see tick_of()
  std::span<FlowCounters> counters;               ///< by service id
  std::function<void(const EndedFlow&)> ended = [](const EndedFlow&) {};
};

/// The tables as dataplane/core reads them, over any memory. `route` answers for the host's routes towards clients.
class MemoryTables {
 public:
  /// The way to `client` for an answer of `length` bytes (IP datagram) that leaves with the source `vip`.
  using RouteFunction = std::function<Route(const Ip& client, const Ip& vip, u32 length)>;

  MemoryTables(
      const TableMemory& memory, RouteFunction route, std::function<bool()> allow_answer = [] { return true; },
      MemoryFlows flows = {})
      : memory_(memory), route_(std::move(route)), allow_answer_(std::move(allow_answer)), flows_(std::move(flows)) {}

  [[nodiscard]] const Globals* globals() const { return memory_.globals; }
  [[nodiscard]] const u64* filter(u32 i) const { return at(memory_.filter, i); }
  [[nodiscard]] const u64* displacement(u32 i) const { return at(memory_.buckets, i); }
  [[nodiscard]] const IndexSlot* slot(u32 i) const { return at(memory_.slots, i); }
  [[nodiscard]] const Service* service(u32 i) const { return at(memory_.services, i); }
  [[nodiscard]] const Row* row(u32 i) const { return at(memory_.rows, i); }
  [[nodiscard]] const Backend* backend(u32 i) const { return at(memory_.backends, i); }
  [[nodiscard]] const Port* port(u32 i) const { return at(memory_.ports, i); }

  template <class Net>
  [[nodiscard]] Route route(const Net& net, const Ip& vip, u32 length) const {
    Ip client{};
    if constexpr (Net::v6) {
      for (u32 i = 0; i < 4; ++i) client.word[i] = net.destination[i].raw;
    } else {
      client = ip_from_v4(net.destination);
    }
    return route_(client, vip, length);
  }
  [[nodiscard]] bool allow_answer() const { return allow_answer_(); }

  [[nodiscard]] FlowSizes flow_sizes() const {
    const FlowMemory& m = flows_.memory;
    return {static_cast<u32>(m.embryos.size()), static_cast<u32>(m.flows.size()), static_cast<u32>(m.ghosts.size())};
  }
  [[nodiscard]] FlowBucket* embryos(u32 i) const { return at(flows_.memory.embryos, i); }
  [[nodiscard]] FlowBucket* flows(u32 i) const { return at(flows_.memory.flows, i); }
  [[nodiscard]] GhostLine* ghosts(u32 i) const { return at(flows_.memory.ghosts, i); }
  [[nodiscard]] FlowCounters* flow_counters(u32 service) const { return at(flows_.counters, service); }
  [[nodiscard]] u32 tick() const { return flows_.tick(); }
  [[nodiscard]] u64 recall(const FlowQuery& query) const { return recall_flow(*this, query); }
  [[nodiscard]] u64 consult(const FlowQuery& query) const { return consult_flow(*this, query); }
  void note(const FlowKey& key, u32 packet) const { note_answer(*this, key, packet); }
  void report(const EndedFlow& flow) const { flows_.ended(flow); }

 private:
  template <class T>
  static T* at(std::span<T> table, u32 index) {
    return index < table.size() ? &table[index] : nullptr;
  }
  TableMemory memory_;
  RouteFunction route_;
  std::function<bool()> allow_answer_;
  MemoryFlows flows_;
};

/// An image in ordinary memory, zeroed.
class OwnedTables {
 public:
  explicit OwnedTables(const TableSizes& sizes);
  [[nodiscard]] TableMemory& memory() { return memory_; }

 private:
  struct alignas(64) Line {
    u8 bytes[64];
  };
  std::vector<Line> image_;
  TableMemory memory_;
};

}  // namespace weir

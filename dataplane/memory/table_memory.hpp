// SPDX-License-Identifier: Apache-2.0
// The tables wherever they live: spans over memory-mapped BPF arrays, shared memory or plain vectors. Who publishes and
// who reads does not know which.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/core/pick.hpp"
#include "dataplane/core/tables.hpp"

namespace weir {

struct TableMemory {
  Globals* globals = nullptr;
  std::span<u64> buckets;
  std::span<IndexSlot> slots;
  std::span<Service> services;
  std::span<Row> rows;
  std::span<Backend> backends;
  std::span<Port> ports;
};

/// How many records each table holds.
struct TableSizes {
  u32 buckets = 0;   // a power of two
  u32 slots = 0;     // a power of two
  u32 services = 0;  // id 0 is never given out, so one more than can be used
  u32 rows = 0;
  u32 backends = 0;  // likewise
  friend bool operator==(const TableSizes&, const TableSizes&) = default;
};

/// Sizes for at most `services` and `backends` in use and `rows` rows: an index at most half full, so that a bucket finds
/// a displacement within a few tries.
[[nodiscard]] TableSizes sizes_for(u32 services, u32 backends, u32 rows);

/// Writes the first and only record of fresh globals: shifts from the sizes, keys as given.
void initialise(TableMemory& memory, const FlowKeys& keys);

/// The tables as dataplane/core reads them, over any memory. `route` answers for the host's routes towards clients.
class MemoryTables {
 public:
  using RouteFunction = std::function<Route(const Ip& client, const Ip& vip)>;

  MemoryTables(const TableMemory& memory, RouteFunction route) : memory_(memory), route_(std::move(route)) {}

  [[nodiscard]] const Globals* globals() const { return memory_.globals; }
  [[nodiscard]] const u64* displacement(u32 i) const { return at(memory_.buckets, i); }
  [[nodiscard]] const IndexSlot* slot(u32 i) const { return at(memory_.slots, i); }
  [[nodiscard]] const Service* service(u32 i) const { return at(memory_.services, i); }
  [[nodiscard]] const Row* row(u32 i) const { return at(memory_.rows, i); }
  [[nodiscard]] const Backend* backend(u32 i) const { return at(memory_.backends, i); }
  [[nodiscard]] const Port* port(u32 i) const { return at(memory_.ports, i); }

  template <class Net>
  [[nodiscard]] Route route(const Net& net, const Ip& vip, u32 /*length*/) const {
    Ip client{};
    if constexpr (Net::v6) {
      for (u32 i = 0; i < 4; ++i) client.word[i] = net.destination[i].raw;
    } else {
      client = ip_from_v4(net.destination);
    }
    return route_(client, vip);
  }

 private:
  template <class T>
  static const T* at(std::span<T> table, u32 index) {
    return index < table.size() ? &table[index] : nullptr;
  }
  TableMemory memory_;
  RouteFunction route_;
};

/// Tables in ordinary memory, zeroed.
class OwnedTables {
 public:
  explicit OwnedTables(const TableSizes& sizes);
  [[nodiscard]] TableMemory& memory() { return memory_; }

 private:
  Globals globals_{};
  std::vector<u64> buckets_;
  std::vector<IndexSlot> slots_;
  std::vector<Service> services_;
  std::vector<Row> rows_;
  std::vector<Backend> backends_;
  std::vector<Port> ports_;
  TableMemory memory_;
};

}  // namespace weir

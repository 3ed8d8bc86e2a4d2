// SPDX-License-Identifier: Apache-2.0
// Loads the XDP program and owns its maps: creates and pins them, or takes over the ones that an earlier daemon left
// running.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "bpf/counters.hpp"
#include "bpf/events.hpp"
#include "bpf/failure.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::bpf {

struct LoadOptions {
  std::string pin_dir;  ///< below a BPF file system; empty: nothing is pinned (tests, benchmarks)
  TableSizes sizes;
};

class Engine {
 public:
  /// Loads the program. With pinned maps of the same layout and sizes these are taken over, packets flowing all the
  /// while; with others it fails and touches nothing. A failed load leaves no pin behind.
  static Outcome<std::unique_ptr<Engine>> load(const LoadOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] TableMemory& memory();
  [[nodiscard]] const TableSizes& sizes() const;
  [[nodiscard]] bool adopted() const;  ///< the maps are those of an earlier daemon
  [[nodiscard]] int program_fd() const;
  [[nodiscard]] Counting& counting();

  /// Enters an interface into the device map, so that frames may be redirected to it.
  Outcome<> add_device(u32 port, u32 ifindex);
  void remove_device(u32 port);

  /// A descriptor that is readable when the program has reported unresolved neighbours; `drain_events` reads them.
  [[nodiscard]] int event_fd() const;
  void drain_events(const std::function<void(const UnresolvedEvent&)>& handle);

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::bpf

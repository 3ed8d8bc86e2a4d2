// SPDX-License-Identifier: Apache-2.0
// Loads the XDP program and owns its maps: creates and pins them, or takes over the ones that an earlier daemon left
// running.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "bpf/counters.hpp"
#include "bpf/events.hpp"
#include "bpf/failure.hpp"
#include "dataplane/core/flow_query.hpp"
#include "dataplane/memory/flow_memory.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::bpf {

struct LoadOptions {
  std::string pin_dir;  ///< below a BPF file system; empty: nothing is pinned (tests, benchmarks)
  TableSizes sizes;
  FlowSizes flow_sizes;
  bool still_clock = false;  ///< tests: the time is what the flow table's header says
};

class Engine {
 public:
  /// Loads the program. With pinned maps of the same layout and sizes these are taken over, packets flowing all the
  /// while. Tables of another layout are copied into new ones, see pins.hpp; others make it fail, and it touches
  /// nothing. A failed load leaves no pin behind.
  static Outcome<std::unique_ptr<Engine>> load(const LoadOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] TableMemory& memory();
  [[nodiscard]] const TableSizes& sizes() const;
  /// The flow table: empty, or as an earlier daemon has left it.
  [[nodiscard]] FlowMemory& flows();
  [[nodiscard]] bool adopted() const;  ///< the maps are those of an earlier daemon
  /// The layout version of the tables that were copied; 0 when none were.
  [[nodiscard]] u32 upgraded_from() const;
  /// To be called once this program has replaced the former one on every interface: pins the new maps in the places of
  /// those that they replace. Does nothing when there are none.
  Outcome<> finish_upgrade();
  [[nodiscard]] int program_fd() const;
  [[nodiscard]] Counting& counting();

  /// Enters an interface into the device map, so that frames may be redirected to it.
  Outcome<> add_device(u32 port, u32 ifindex);
  void remove_device(u32 port);

  /// A descriptor that is readable when the program has reported unresolved neighbours; `drain_events` reads them.
  [[nodiscard]] int event_fd() const;
  void drain_events(const std::function<void(const UnresolvedEvent&)>& handle);

  /// The same for clients that were sent a RST.
  [[nodiscard]] int reset_fd() const;
  void drain_resets(const std::function<void(const EndedFlow&)>& handle);

  /// Has the program decide on one frame (14 to 3500 bytes, from its Ethernet header) as if it had come in on the
  /// interface `ifindex`, and sends it on. Takes tens of microseconds. Fails with the kernel's reason when there is no
  /// such interface.
  Outcome<> inject(u32 ifindex, std::span<const u8> frame) const;

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::bpf

// SPDX-License-Identifier: Apache-2.0
// Attaches lbgen's counting program to an interface for as long as the object lives.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/count_layout.hpp"
#include "bpf/failure.hpp"

namespace weir::bpf {

/// All CPUs together.
struct Counted {
  CountTotal total{};
  std::vector<std::pair<CountKey, CountRow>> rows;  ///< in no order
};

class Counter {
 public:
  /// Attaches in native mode, else in generic mode. `drop`: TCP and UDP packets go no farther. The kernel takes the
  /// program off when the process ends, however it ends.
  [[nodiscard]] static Outcome<std::unique_ptr<Counter>> attach(const std::string& interface, u32 ifindex, bool drop);
  ~Counter();

  [[nodiscard]] bool native() const;
  /// TCP and UDP packets so far.
  [[nodiscard]] u64 packets() const;
  [[nodiscard]] Counted read() const;

 private:
  struct State;
  explicit Counter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::bpf

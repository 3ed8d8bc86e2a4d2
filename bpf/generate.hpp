// SPDX-License-Identifier: Apache-2.0
// Loads lbgen's generating program and runs it on frames that the kernel makes for it.
#pragma once

#include <memory>

#include "bpf/failure.hpp"
#include "bpf/generate_layout.hpp"

namespace weir::bpf {

/// One program with a state of its own. Several may share the flows of one plan (`stride`), each in its own thread.
class Generator {
 public:
  /// `state` is what the program starts with.
  [[nodiscard]] static Outcome<std::unique_ptr<Generator>> load(const GenerateState& state);
  ~Generator();

  /// Sends `frames` frames out of an interface of the calling thread's network namespace; returns when they are handed
  /// over, or earlier when a signal comes in. How many it were, `progress` says.
  [[nodiscard]] Outcome<> run(u32 frames, u32 ifindex);
  [[nodiscard]] GenerateProgress progress() const;

 private:
  struct State;
  explicit Generator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::bpf

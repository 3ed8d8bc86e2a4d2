// SPDX-License-Identifier: Apache-2.0
// Loads the decapsulation program with its settings, attaches it to interfaces, and reads back what runs there.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bpf/decap_layout.hpp"
#include "bpf/failure.hpp"
#include "bpf/links.hpp"
#include "dataplane/core/tables.hpp"

namespace weir::bpf {

/// An address prefix; `bits` of the address's own family. Bits beyond are zero.
struct DecapPrefix {
  Ip address{};
  u32 bits = 0;
};

struct DecapSettings {
  std::vector<DecapPrefix> sources;  ///< tunnel packets are taken from these alone
  std::vector<Ip> own;               ///< and to these alone
  u16 gue_port = 6080;               ///< UDP destination port
};

using DecapTotals = std::array<VerdictCounters, decap_verdict_count>;

/// The program in the kernel, attached to nothing yet. It lives as long as this object or a link does.
class DecapProgram {
 public:
  /// `counters_pin`: a path in a BPF file system for the counters, which are taken over if they are there, so that they
  /// go on counting over a change of settings; empty: counters of its own.
  static Outcome<std::unique_ptr<DecapProgram>> load(const DecapSettings& settings, const std::string& counters_pin);
  ~DecapProgram();
  DecapProgram(const DecapProgram&) = delete;
  DecapProgram& operator=(const DecapProgram&) = delete;

  [[nodiscard]] int fd() const;
  [[nodiscard]] DecapTotals totals() const;

 private:
  struct State;
  explicit DecapProgram(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Attaches, or replaces program and settings in one step where an interface has them already. Pins link and counters
/// in `pin_dir`/INTERFACE. A failure leaves what ran before as it was.
[[nodiscard]] Outcome<Attachment> attach_decap(const DecapSettings& settings, const std::string& interface, u32 ifindex,
                                               AttachPolicy policy, const std::string& pin_dir);

/// Takes program, link and counters away. False when there were none.
[[nodiscard]] Outcome<bool> detach_decap(const std::string& interface, const std::string& pin_dir);

/// What runs on an interface, as the kernel tells it.
struct DecapState {
  std::string interface;
  u32 ifindex = 0;  ///< 0: the interface is gone
  AttachMode mode = AttachMode::native;
  DecapSettings settings;
  DecapTotals totals{};
};

/// Every interface with pins in `pin_dir`, sorted by name.
[[nodiscard]] Outcome<std::vector<DecapState>> decap_states(const std::string& pin_dir);

}  // namespace weir::bpf

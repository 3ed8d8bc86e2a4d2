// SPDX-License-Identifier: Apache-2.0
// The directories that one daemon at a time may use: that of state and seed, and that of the pins.
#pragma once

#include <string>
#include <utility>

#include "control/model/result.hpp"

namespace weir::daemon {

class StateDirectory {
 public:
  /// Makes `path` (0700, parents 0755) when it is missing and takes its lock. Faults: conflict (another daemon holds
  /// it), internal.
  static Result<StateDirectory> hold(const std::string& path);
  /// The same lock on the directory of the pins, in a BPF file system that is there.
  static Result<StateDirectory> hold_pins(const std::string& path);
  StateDirectory(StateDirectory&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  StateDirectory& operator=(StateDirectory&&) = delete;
  ~StateDirectory();

 private:
  explicit StateDirectory(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
// A directory that one daemon at a time may use: that of state and seed, and that of the pins.
#pragma once

#include <string>
#include <utility>

#include "control/model/result.hpp"

namespace weir::daemon {

class DirectoryLock {
 public:
  /// Makes the directory of state and seed (0700, parents 0755) when it is missing and takes its lock. Faults: conflict
  /// (another daemon holds it), internal.
  static Result<DirectoryLock> of_state(const std::string& path);
  /// The same for the directory of the pins, in a BPF file system that is there; its mode is the file system's.
  static Result<DirectoryLock> of_pins(const std::string& path);
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  struct Words;
  static Result<DirectoryLock> take(const std::string& path, const Words& words);
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace weir::daemon

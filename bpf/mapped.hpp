// SPDX-License-Identifier: Apache-2.0
// A BPF array map in this process's memory.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "bpf/failure.hpp"
#include "dataplane/core/types.hpp"

namespace weir::bpf {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A shared, writable mapping of a whole BPF_F_MMAPABLE array map. Its pages are the map's own.
class Mapped {
 public:
  Mapped() = default;
  Mapped(Mapped&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapped& operator=(Mapped&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapped();

  /// Maps `count` records of `record_bytes` (a multiple of 8) of the map behind `fd`.
  static Outcome<Mapped> map(int fd, std::size_t record_bytes, std::size_t count);

  template <class T>
  [[nodiscard]] std::span<T> as() const {
    return {static_cast<T*>(address_), bytes_ / sizeof(T)};
  }

 private:
  void* address_ = nullptr;
  std::size_t bytes_ = 0;  // of the records; the mapping is rounded up to pages
};

}  // namespace weir::bpf

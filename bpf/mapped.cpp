// SPDX-License-Identifier: Apache-2.0
#include "bpf/mapped.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace weir::bpf {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Mapped::~Mapped() {
  if (address_) ::munmap(address_, bytes_);
}

Outcome<Mapped> Mapped::map(int fd, std::size_t record_bytes, std::size_t count) {
  Mapped mapped;
  const std::size_t bytes = record_bytes * count;
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return failure("cannot map a table of {} bytes into memory: {}", bytes, errno_text(errno));
  mapped.address_ = address;
  mapped.bytes_ = bytes;
  return mapped;
}

}  // namespace weir::bpf

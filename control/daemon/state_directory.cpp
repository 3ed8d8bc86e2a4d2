// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/state_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace weir::daemon {

Result<StateDirectory> StateDirectory::hold(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::create_directories(path, error)) fs::permissions(path, fs::perms::owner_all, error);
  if (error)
    return fail(Fault::internal, "cannot make the state directory {}: {}; choose another with --state-dir", path,
                error.message());
  StateDirectory held(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (held.fd_ < 0)
    return fail(Fault::internal, "cannot open the state directory {}: {}; choose another with --state-dir", path,
                std::strerror(errno));
  // The kernel drops the lock with the process, however that ends.
  if (::flock(held.fd_, LOCK_EX | LOCK_NB) != 0)
    return fail(Fault::conflict, "another lbd uses the state directory {}; stop it or choose --state-dir", path);
  return held;
}

Result<StateDirectory> StateDirectory::hold_pins(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  StateDirectory held(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (held.fd_ < 0)
    return fail(Fault::internal, "cannot open the pin directory {}: {}; choose another with --pin-dir", path,
                std::strerror(errno));
  if (::flock(held.fd_, LOCK_EX | LOCK_NB) != 0)
    return fail(Fault::conflict, "another lbd runs the fast path in {}; stop it (to remove it: lbctl detach)", path);
  return held;
}

StateDirectory::~StateDirectory() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace weir::daemon

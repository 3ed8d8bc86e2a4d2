// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/directory_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace weir::daemon {

struct DirectoryLock::Words {
  const char* what;
  const char* option;
  const char* held;  ///< with {} for the path: that another daemon has it, and what to do
};

Result<DirectoryLock> DirectoryLock::take(const std::string& path, const Words& words) {
  DirectoryLock lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.fd_ < 0)
    return fail(Fault::internal, "cannot open the {} {}: {}; choose another with {}", words.what, path,
                std::strerror(errno), words.option);
  // The kernel drops the lock with the process, however that ends.
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) return fail(Fault::conflict, fmt::runtime(words.held), path);
  return lock;
}

Result<DirectoryLock> DirectoryLock::of_state(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::create_directories(path, error)) fs::permissions(path, fs::perms::owner_all, error);
  if (error)
    return fail(Fault::internal, "cannot make the state directory {}: {}; choose another with --state-dir", path,
                error.message());
  return take(path, {"state directory", "--state-dir",
                     "another lbd uses the state directory {}; stop it or choose --state-dir"});
}

Result<DirectoryLock> DirectoryLock::of_pins(const std::string& path) {
  std::error_code error;  // a directory that cannot be made cannot be opened
  std::filesystem::create_directories(path, error);
  return take(path, {"pin directory", "--pin-dir",
                     "another lbd runs the fast path in {}; stop it (to remove it: lbctl detach)"});
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace weir::daemon

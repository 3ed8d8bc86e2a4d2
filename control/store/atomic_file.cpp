// SPDX-License-Identifier: Apache-2.0
#include "control/store/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace weir::store {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string advice(int error, const std::string& directory) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return fmt::format("free space in {}", directory);
    case ENOENT:
    case ENOTDIR:
      return fmt::format("make the directory {}", directory);
    case EACCES:
    case EPERM:
      return fmt::format("let lbd's user write to {}", directory);
    case EROFS:
      return fmt::format("remount the file system of {} writable", directory);
    default:
      return fmt::format("check the file system of {}", directory);
  }
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<> write_file(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const std::string temporary = path + ".new";
  const auto failed = [&](std::string_view step) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return fail(Fault::internal, "cannot write {}: {}: {}; {}. Nothing was changed", path, step, std::strerror(error),
                advice(error, directory));
  };
  // Opened before anything is written, so that the last step can hardly fail for want of it.
  const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0) return failed("open directory");
  ::unlink(temporary.c_str());  // left by a crash between open and rename
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (file.get() < 0) return failed("create");
    if (::fchmod(file.get(), mode) != 0) return failed("set mode");  // whatever the umask
    if (!write_all(file.get(), bytes)) return failed("write");
    if (::fsync(file.get()) != 0) return failed("fsync");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("rename");
  if (::fsync(parent.get()) != 0)
    return fail(Fault::internal, "{} is written, but may not survive a power loss: fsync {}: {}; {}", path, directory,
                std::strerror(errno), advice(errno, directory));
  return {};
}

Result<std::optional<std::string>> read_file(const std::string& path) {
  const auto failed = [&] {
    const int error = errno;
    return fail(Fault::internal, "cannot read {}: {}; let lbd's user read it", path, std::strerror(error));
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  if (file.get() < 0) return failed();
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed();
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace weir::store

// SPDX-License-Identifier: Apache-2.0
#include "control/api/socket_file.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace weir::api {

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

Result<> make_directories(const std::filesystem::path& directory) {
  std::filesystem::path step;
  for (const std::filesystem::path& part : directory) {
    step /= part;
    if (mkdir(step.c_str(), 0755) == 0) {
      if (chmod(step.c_str(), 0755) != 0)  // mkdir's mode is subject to the umask
        return fail(Fault::internal, "directory {}: mode 0755 cannot be set: {}", step.string(), reason(errno));
    } else if (errno != EEXIST && errno != EISDIR && access(step.c_str(), X_OK) != 0) {
      return fail(Fault::internal, "directory {} cannot be created: {}; run as root or choose --socket", step.string(),
                  reason(errno));
    }
  }
  return {};
}

// Does not block: a daemon whose queue of connections is full answers EAGAIN, and is alive.
int connect_error(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const int error = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  close(fd);
  return error;
}

}  // namespace

Result<> make_room(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Fault::invalid, "socket path \"{}\" has {} bytes; a Unix socket's path has 1..{}, choose --socket",
                path, path.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());

  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (Result<> made = make_directories(parent); !made) return made;

  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return fail(Fault::internal, "socket {}: {}; choose --socket", path, reason(errno));
  }
  if (!S_ISSOCK(info.st_mode))
    return fail(Fault::invalid, "{} exists and is not a socket; move it away or choose --socket", path);
  switch (const int error = connect_error(address)) {
    case 0:
    case EAGAIN:
      return fail(Fault::conflict, "another lbd is listening on {}; stop it or choose --socket", path);
    case ECONNREFUSED:  // its program is gone
      break;
    case ENOENT:
      return {};
    default:
      return fail(Fault::internal, "socket {} is in use by something else: {}; choose --socket", path, reason(error));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(Fault::internal, "dead socket {} cannot be removed: {}", path, reason(errno));
  return {};
}

SocketFile::SocketFile(std::string path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return;
  path_ = std::move(path);
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

void SocketFile::remove() {
  struct stat info {};
  if (!path_.empty() && lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_)
    unlink(path_.c_str());
  path_.clear();
}

}  // namespace weir::api

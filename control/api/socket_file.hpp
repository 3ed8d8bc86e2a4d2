// SPDX-License-Identifier: Apache-2.0
// The file of a listening Unix socket: taking a path without robbing a living daemon, and giving it up again.
#pragma once

#include <sys/types.h>

#include <string>

#include "control/model/result.hpp"

namespace weir::api {

/// Makes `path` free for bind(): creates the parent directory (0755), removes a socket that nothing answers on.
/// Anything else at `path` is an error and stays as it is. Faults: conflict (another daemon answers), invalid,
/// internal.
[[nodiscard]] Result<> make_room(const std::string& path);

/// Removes a socket file when it goes, unless another program has put its own there in the meantime.
class SocketFile {
 public:
  SocketFile() = default;
  /// `path` has just been bound by this process.
  explicit SocketFile(std::string path);
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile() { remove(); }

  void remove();

 private:
  std::string path_;  ///< "" when there is nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace weir::api

// SPDX-License-Identifier: Apache-2.0
// Small files that are replaced as a whole: after a crash or a full disk the old content is there, or the new, never a
// part of one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "control/model/result.hpp"

namespace weir::store {

/// Replaces `path` by a file with `bytes` and `mode`, durably: temporary file beside it, fsync, rename, fsync of the
/// directory. One writer per path. Faults: internal; the old file is then as it was.
[[nodiscard]] Result<> write_file(const std::string& path, std::string_view bytes, mode_t mode);

/// The content of `path`, nothing when there is no such file. Faults: internal.
[[nodiscard]] Result<std::optional<std::string>> read_file(const std::string& path);

}  // namespace weir::store

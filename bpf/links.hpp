// SPDX-License-Identifier: Apache-2.0
// Attaches the program to interfaces through pinned BPF links, replaces it in place, and takes everything away again.
#pragma once

#include <string>
#include <vector>

#include "bpf/failure.hpp"
#include "dataplane/core/types.hpp"

namespace weir::bpf {

enum class AttachMode : u8 { native, generic };

/// Which modes may be tried.
enum class AttachPolicy : u8 { native_else_generic, native_only, generic_only };

struct Attachment {
  AttachMode mode = AttachMode::native;
  std::string warning;  ///< empty, or why it is not native
};

/// Attaches `program_fd` to an interface, or replaces the program in the link that is pinned for it: packets see the
/// old program or the new one. Another party's program on the interface is left alone and is a failure.
[[nodiscard]] Outcome<Attachment> attach(int program_fd, const std::string& interface, u32 ifindex, AttachPolicy policy,
                                         const std::string& pin_dir);

/// Interfaces that have a pinned link.
[[nodiscard]] std::vector<std::string> attached_interfaces(const std::string& pin_dir);

/// Removes one interface's link; the interface has no program afterwards.
void detach(const std::string& interface, const std::string& pin_dir);

/// Removes every link, map and directory below `pin_dir`. True when there was something.
[[nodiscard]] Outcome<bool> remove_all(const std::string& pin_dir);

}  // namespace weir::bpf

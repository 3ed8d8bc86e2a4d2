// SPDX-License-Identifier: Apache-2.0
#include "bpf/links.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "bpf/mapped.hpp"

namespace weir::bpf {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view link_prefix = "link-";
constexpr std::string_view map_prefix = "weir_";

/// A BPF file system takes no name with a dot (eth0.100), and no interface has a colon in its name.
std::string exchanged(std::string name, char from, char to) {
  std::replace(name.begin(), name.end(), from, to);
  return name;
}

std::string link_path(const std::string& interface, const std::string& pin_dir) {
  return fmt::format("{}/{}{}", pin_dir, link_prefix, exchanged(interface, '.', ':'));
}

/// Which mode a program is attached in, as the kernel reports it.
AttachMode mode_of(u32 ifindex) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return AttachMode::native;
  return query.attach_mode == XDP_ATTACHED_SKB ? AttachMode::generic : AttachMode::native;
}

std::string explain(int error, const std::string& interface) {
  switch (error) {
    case EBUSY:
    case EEXIST:
      return fmt::format(
          "{} already has an XDP program of somebody else; remove it (ip link set dev {} xdp off) or take {} out of "
          "`interfaces`",
          interface, interface, interface);
    case ERANGE:
      return fmt::format("{}: its MTU is too large for XDP in this driver (or, on veth, its peer's); lower the MTU",
                         interface);
    case ENOSPC:
      return fmt::format("{}: fewer receive queues than its peer has transmit queues; see ethtool -l {}", interface,
                         interface);
    case EOPNOTSUPP:
      return fmt::format("{}: the driver has no native XDP", interface);
    default:
      return fmt::format("{}: {}", interface, errno_text(error));
  }
}

/// Replaces the program behind a pinned link. False when there is no such link or it belongs to an interface that is
/// gone.
Outcome<bool> replace(int program_fd, const std::string& path, u32 ifindex) {
  const Descriptor link(bpf_obj_get(path.c_str()));
  if (!link.valid() && errno == ENOENT) return false;
  if (!link.valid()) return failure("{} is not a BPF link ({}); remove it", path, errno_text(errno));
  bpf_link_info info{};
  u32 length = sizeof info;
  if (bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0 || info.type != BPF_LINK_TYPE_XDP ||
      info.xdp.ifindex != ifindex) {
    ::unlink(path.c_str());
    return false;
  }
  if (bpf_link_update(link.get(), program_fd, nullptr) != 0)
    return failure("cannot replace the program behind {}: {}", path, errno_text(errno));
  return true;
}

}  // namespace

Outcome<Attachment> attach(int program_fd, const std::string& interface, u32 ifindex, AttachPolicy policy,
                           const std::string& pin_dir) {
  const std::string path = link_path(interface, pin_dir);
  const auto replaced = replace(program_fd, path, ifindex);
  if (!replaced) return tl::unexpected(replaced.error());
  Attachment result;
  if (*replaced) {
    result.mode = mode_of(ifindex);
    const bool wanted = policy == AttachPolicy::native_else_generic ||
                        (policy == AttachPolicy::native_only) == (result.mode == AttachMode::native);
    if (wanted) {
      if (result.mode == AttachMode::generic && policy == AttachPolicy::native_else_generic)
        result.warning = fmt::format("{} runs in generic mode, several times slower than native", interface);
      return result;
    }
    detach(interface, pin_dir);  // the mode cannot be changed in place
    result = {};
  }

  const auto create = [&](u32 flags) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return Descriptor(bpf_link_create(program_fd, static_cast<int>(ifindex), BPF_XDP, &options));
  };
  Descriptor link;
  if (policy != AttachPolicy::generic_only) {
    link = create(XDP_FLAGS_DRV_MODE);
    if (!link.valid()) {
      const std::string why = explain(errno, interface);
      if (policy == AttachPolicy::native_only || errno == EBUSY || errno == EEXIST)
        return failure("cannot attach in native mode to {}", why);
      result.warning = fmt::format("{} runs in generic mode, several times slower than native ({})", interface, why);
    }
  }
  if (!link.valid()) {
    result.mode = AttachMode::generic;
    link = create(XDP_FLAGS_SKB_MODE);
    if (!link.valid()) return failure("cannot attach in generic mode to {}", explain(errno, interface));
  }
  if (bpf_obj_pin(link.get(), path.c_str()) != 0)
    return failure("cannot pin the link of {} at {}: {}", interface, path, errno_text(errno));
  return result;
}

std::vector<std::string> attached_interfaces(const std::string& pin_dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(pin_dir, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(link_prefix)) names.push_back(exchanged(name.substr(link_prefix.size()), ':', '.'));
  }
  return names;
}

void detach(const std::string& interface, const std::string& pin_dir) {
  const std::string path = link_path(interface, pin_dir);
  const Descriptor link(bpf_obj_get(path.c_str()));
  if (link.valid()) bpf_link_detach(link.get());
  ::unlink(path.c_str());
}

Outcome<bool> remove_all(const std::string& pin_dir) {
  struct statfs file_system {};
  if (::statfs(pin_dir.c_str(), &file_system) != 0) {
    if (errno == ENOENT) return false;
    return failure("cannot look at {}: {}", pin_dir, errno_text(errno));
  }
  if (file_system.f_type != BPF_FS_MAGIC)
    return failure("{} is not in a BPF file system: nothing of Weir's can be there, nothing was removed", pin_dir);
  for (const std::string& interface : attached_interfaces(pin_dir)) detach(interface, pin_dir);
  std::error_code error;
  bool found = false;
  for (const auto& entry : fs::directory_iterator(pin_dir, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(map_prefix)) continue;
    found = true;
    ::unlink(entry.path().c_str());
  }
  if (::rmdir(pin_dir.c_str()) != 0 && errno != ENOENT)
    return failure("removed the fast path, but cannot remove {}: {}; what is left in it is not Weir's", pin_dir,
                   errno_text(errno));
  return found;
}

}  // namespace weir::bpf

// SPDX-License-Identifier: Apache-2.0
#include "bpf/features.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace weir::bpf {
namespace {

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "unknown";
}

/// The effective capability set of this process (capabilities(7)).
unsigned long long effective_capabilities() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == "CapEff:") {
      unsigned long long set = 0;
      status >> std::hex >> set;
      return set;
    }
  return 0;
}

constexpr unsigned cap_net_admin = 12;
constexpr unsigned cap_sys_admin = 21;
constexpr unsigned cap_bpf = 39;

Outcome<> lacks(const char* what) {
  return failure("this kernel ({}) lacks {}; Weir needs Linux 6.1 or newer with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT",
                 kernel_release(), what);
}

}  // namespace

Outcome<> check_host(const std::string& pin_parent) {
  const unsigned long long caps = effective_capabilities();
  const auto has = [caps](unsigned capability) { return (caps >> capability & 1) != 0; };
  if (!has(cap_net_admin) || !(has(cap_bpf) || has(cap_sys_admin)))
    return failure("loading the XDP program needs CAP_BPF and CAP_NET_ADMIN; run as root (sudo) or grant both");

  bpf_attr attr{};
  if (::syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr, sizeof attr) < 0 && errno == ENOSYS)
    return lacks("the bpf() system call");

  struct statfs file_system {};
  if (::statfs(pin_parent.c_str(), &file_system) != 0 || file_system.f_type != BPF_FS_MAGIC)
    return failure("{} is not a BPF file system; mount one: mount -t bpf bpf /sys/fs/bpf", pin_parent);

  libbpf_set_print(nullptr);
  if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, nullptr) != 1) return lacks("XDP programs");
  if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_PERCPU_ARRAY, nullptr) != 1) return lacks("per-CPU array maps");
  if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_DEVMAP, nullptr) != 1) return lacks("device maps (XDP redirect)");
  if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nullptr) != 1) return lacks("BPF ring buffers");
  if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_fib_lookup, nullptr) != 1) return lacks("bpf_fib_lookup()");
  if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_get_buff_len, nullptr) != 1)
    return lacks("multi-buffer XDP (bpf_xdp_get_buff_len)");
  return {};
}

}  // namespace weir::bpf

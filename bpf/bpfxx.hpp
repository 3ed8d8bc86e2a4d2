// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a C++ program needs to be a BPF program: sections, map declarations and the helpers that Weir calls. libbpf's
// own bpf_helpers.h does not compile as C++ (it assigns void* to function pointers).
#pragma once

#include <linux/bpf.h>

#define BPF_SECTION(name) [[gnu::section(name), gnu::used]]

// libbpf reads a map's definition from the BTF of its type: numbers as array lengths, types as pointers. The struct
// must have a name and the variable external linkage ("unsupported map linkage static" otherwise).
#define BPF_MAP_NUMBER(field, value) int(*field)[value]
#define BPF_MAP_TYPE(field, type) type* field

namespace weir::bpf {

[[gnu::always_inline]] inline void* map_lookup(const void* map, const void* key) {
  return reinterpret_cast<void* (*)(const void*, const void*)>(BPF_FUNC_map_lookup_elem)(map, key);
}
[[gnu::always_inline]] inline long redirect_map(void* map, __u64 key, __u64 flags) {
  return reinterpret_cast<long (*)(void*, __u64, __u64)>(BPF_FUNC_redirect_map)(map, key, flags);
}
[[gnu::always_inline]] inline long fib_lookup(void* context, bpf_fib_lookup* query, int size, __u32 flags) {
  return reinterpret_cast<long (*)(void*, bpf_fib_lookup*, int, __u32)>(BPF_FUNC_fib_lookup)(context, query, size,
                                                                                             flags);
}
[[gnu::always_inline]] inline long ringbuf_output(void* ring, void* data, __u64 size, __u64 flags) {
  return reinterpret_cast<long (*)(void*, void*, __u64, __u64)>(BPF_FUNC_ringbuf_output)(ring, data, size, flags);
}
[[gnu::always_inline]] inline long adjust_head(xdp_md* context, int delta) {
  return reinterpret_cast<long (*)(xdp_md*, int)>(BPF_FUNC_xdp_adjust_head)(context, delta);
}
[[gnu::always_inline]] inline long adjust_tail(xdp_md* context, int delta) {
  return reinterpret_cast<long (*)(xdp_md*, int)>(BPF_FUNC_xdp_adjust_tail)(context, delta);
}
[[gnu::always_inline]] inline long tail_call(xdp_md* context, void* programs, __u32 index) {
  return reinterpret_cast<long (*)(void*, void*, __u32)>(BPF_FUNC_tail_call)(context, programs, index);
}
[[gnu::always_inline]] inline __u64 nanoseconds() { return reinterpret_cast<__u64 (*)()>(BPF_FUNC_ktime_get_ns)(); }
[[gnu::always_inline]] inline __u64 frame_length(xdp_md* context) {
  return reinterpret_cast<__u64 (*)(xdp_md*)>(BPF_FUNC_xdp_get_buff_len)(context);
}

}  // namespace weir::bpf

// SPDX-License-Identifier: Apache-2.0
// One frame, or many times the same, through a loaded XDP program with BPF_PROG_TEST_RUN.
#pragma once

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <span>
#include <vector>

#include "dataplane/core/types.hpp"

namespace weir::testing {

struct RunResult {
  int error = 0;  // negative errno
  u32 action = 0;
  u32 nanoseconds = 0;  // per repetition, whole ns, as the kernel reports
  std::vector<u8> frame;
};

/// `ingress` is the index of an interface of this network namespace (1: loopback).
inline RunResult run(int program, std::span<const u8> frame, u32 ingress, int repeat = 1) {
  RunResult result;
  result.frame.resize(frame.size() + 256);
  xdp_md context{};
  context.data_end = static_cast<u32>(frame.size());
  context.ingress_ifindex = ingress;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = result.frame.data(),
              .data_size_in = static_cast<u32>(frame.size()), .data_size_out = static_cast<u32>(result.frame.size()),
              .ctx_in = &context, .ctx_size_in = sizeof context, .repeat = repeat);
  result.error = bpf_prog_test_run_opts(program, &options);
  result.action = options.retval;
  result.nanoseconds = options.duration;
  result.frame.resize(result.error == 0 ? options.data_size_out : 0);
  return result;
}

}  // namespace weir::testing

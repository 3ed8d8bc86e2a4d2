// SPDX-License-Identifier: Apache-2.0
#include "bpf/generate.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "bpf/mapped.hpp"
#include "generate.skel.h"

namespace weir::bpf {
namespace {

struct SkeletonDeleter {
  void operator()(generate_skeleton* skeleton) const { generate_skeleton__destroy(skeleton); }
};

/// Frames that the kernel hands to the program before it passes on what the program sends.
constexpr u32 batch = 64;

/// Attaches a program to the loopback of a network namespace that has nothing else. Attached nowhere, the program is
/// entered into the kernel's XDP dispatcher at the start of each run and taken out at its end, which waits for every
/// CPU: 16 to 30 ms for a run of any length (Linux 6.18), as against 15 us. Where it fails, runs are slower.
struct Hold {
  Descriptor space, link;
  explicit Hold(int program_fd) {
    std::thread([&] {
      if (::unshare(CLONE_NEWNET) != 0) return;
      space = Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_SKB_MODE);
      constexpr int loopback = 1;
      link = Descriptor(bpf_link_create(program_fd, loopback, BPF_XDP, &options));
    }).join();
  }
};

}  // namespace

struct Generator::State {
  std::unique_ptr<generate_skeleton, SkeletonDeleter> skeleton;
  Mapped memory;
  std::vector<u8> frame;
  std::unique_ptr<Hold> hold;
};

Outcome<std::unique_ptr<Generator>> Generator::load(const GenerateState& state) {
  libbpf_set_print(nullptr);
  auto loaded = std::make_unique<State>();
  loaded->skeleton.reset(generate_skeleton__open());
  if (!loaded->skeleton) return failure("cannot open the generating program: {}", errno_text(errno));
  if (const int error = generate_skeleton__load(loaded->skeleton.get()); error != 0)
    return failure("the kernel refuses the generating program: {}; it takes root and Linux 6.1", errno_text(error));
  auto memory = Mapped::map(bpf_map__fd(loaded->skeleton->maps.weir_state), sizeof(GenerateState), 1);
  if (!memory) return tl::unexpected(memory.error());
  loaded->memory = std::move(*memory);
  loaded->memory.as<GenerateState>()[0] = state;
  loaded->frame.resize(state.plan.frame_length);
  loaded->hold = std::make_unique<Hold>(bpf_program__fd(loaded->skeleton->progs.weir_generate));
  return std::unique_ptr<Generator>(new Generator(std::move(loaded)));
}

Generator::Generator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Generator::~Generator() = default;

Outcome<> Generator::run(u32 frames, u32 ifindex) {
  xdp_md context{};
  context.data_end = static_cast<u32>(state_->frame.size());
  context.ingress_ifindex = ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = state_->frame.data(),
              .data_size_in = static_cast<u32>(state_->frame.size()), .ctx_in = &context, .ctx_size_in = sizeof context,
              .repeat = static_cast<int>(frames), .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
              .batch_size = std::min(frames, batch));
  const int error = bpf_prog_test_run_opts(bpf_program__fd(state_->skeleton->progs.weir_generate), &options);
  if (error != 0 && error != -EINTR)
    return failure("the kernel refuses to send {} frames of {} bytes: {}", frames, state_->frame.size(),
                   errno_text(error));
  return {};
}

GenerateProgress Generator::progress() const { return state_->memory.as<GenerateState>()[0].progress; }

}  // namespace weir::bpf

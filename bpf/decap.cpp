// SPDX-License-Identifier: Apache-2.0
#include "bpf/decap.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "bpf/decap_pins.hpp"
#include "bpf/features.hpp"
#include "bpf/mapped.hpp"
#include "decap.skel.h"

namespace weir::bpf {
namespace {

namespace fs = std::filesystem;

struct SkeletonDeleter {
  void operator()(decap_skeleton* skeleton) const { decap_skeleton__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<decap_skeleton, SkeletonDeleter>;

OuterAddress outer_address(const Ip& ip) { return {is_v4(ip) ? outer_family4 : outer_family6, ip}; }

/// Takes over the pinned counters; those of a version with another verdict table are given up.
Outcome<> adopt_counters(bpf_map* map, const std::string& path) {
  const Descriptor pinned(bpf_obj_get(path.c_str()));
  if (!pinned.valid()) {
    if (errno == ENOENT) return {};
    return failure("cannot open the pinned counters {}: {}; remove them", path, errno_text(errno));
  }
  bpf_map_info info{};
  u32 length = sizeof info;
  const bool same = bpf_obj_get_info_by_fd(pinned.get(), &info, &length) == 0 && info.type == bpf_map__type(map) &&
                    info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map);
  if (!same) {
    ::unlink(path.c_str());
    return {};
  }
  if (const int error = bpf_map__reuse_fd(map, pinned.get()); error != 0)
    return failure("cannot take over the counters {}: {}", path, errno_text(error));
  return {};
}

Outcome<> fill(const Skeleton& skeleton, const DecapSettings& settings) {
  const auto store = [](const bpf_map* map, const auto& key, const auto& value) -> Outcome<> {
    if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY) == 0) return {};
    return failure("cannot write into the map {}: {}", bpf_map__name(map), errno_text(errno));
  };
  const u32 present = 1;
  for (const Ip& own : settings.own)
    if (auto done = store(skeleton->maps.weir_own, outer_address(own), present); !done) return done;
  for (const DecapPrefix& source : settings.sources) {
    const u32 before = outer_bits - (is_v4(source.address) ? 32 : 128);  // bits in front of the address proper
    const OuterPrefix key{before + source.bits, outer_address(source.address)};
    if (auto done = store(skeleton->maps.weir_sources, key, present); !done) return done;
  }
  return store(skeleton->maps.weir_constants, u32{0}, DecapConstants{to_be(settings.gue_port), {}});
}

}  // namespace

struct DecapProgram::State {
  Skeleton skeleton;
};

Outcome<std::unique_ptr<DecapProgram>> DecapProgram::load(const DecapSettings& settings,
                                                          const std::string& counters_pin) {
  libbpf_set_print(nullptr);
  auto state = std::make_unique<State>();
  state->skeleton.reset(decap_skeleton__open());
  if (!state->skeleton) return failure("cannot open the decapsulation program: {}", errno_text(errno));
  auto& maps = state->skeleton->maps;
  const auto entries = [](std::size_t count) { return static_cast<u32>(std::max<std::size_t>(count, 1)); };
  bpf_map__set_max_entries(maps.weir_own, entries(settings.own.size()));
  bpf_map__set_max_entries(maps.weir_sources, entries(settings.sources.size()));
  if (!counters_pin.empty())
    if (auto adopted = adopt_counters(maps.weir_counts, counters_pin); !adopted) return tl::unexpected(adopted.error());

  // Filled by libbpf only when the program is refused.
  std::string log(std::size_t{1} << 20, '\0');
  bpf_program__set_log_buf(state->skeleton->progs.weir_unwrap, log.data(), log.size());
  const int error = decap_skeleton__load(state->skeleton.get());
  bpf_program__set_log_buf(state->skeleton->progs.weir_unwrap, nullptr, 0);
  if (error != 0) {
    constexpr std::size_t telling = 2000;
    log.resize(log.find('\0'));
    return failure("the kernel refuses the decapsulation program: {}\n{}", errno_text(error),
                   log.substr(log.size() - std::min(log.size(), telling)));
  }
  if (auto filled = fill(state->skeleton, settings); !filled) return tl::unexpected(filled.error());
  if (!counters_pin.empty() && ::access(counters_pin.c_str(), F_OK) != 0 &&
      bpf_obj_pin(bpf_map__fd(maps.weir_counts), counters_pin.c_str()) != 0)
    return failure("cannot pin the counters at {}: {}", counters_pin, errno_text(errno));
  return std::unique_ptr<DecapProgram>(new DecapProgram(std::move(state)));
}

DecapProgram::DecapProgram(std::unique_ptr<State> state) : state_(std::move(state)) {}
DecapProgram::~DecapProgram() = default;

int DecapProgram::fd() const { return bpf_program__fd(state_->skeleton->progs.weir_unwrap); }
DecapTotals DecapProgram::totals() const {
  return decap_totals(bpf_map__fd(state_->skeleton->maps.weir_counts)).value_or(DecapTotals{});
}

Outcome<Attachment> attach_decap(const DecapSettings& settings, const std::string& interface, u32 ifindex,
                                 AttachPolicy policy, const std::string& pin_dir) {
  if (auto host = check_host(fs::path(pin_dir).parent_path()); !host) return tl::unexpected(host.error());
  const std::string own_dir = decap_pin_dir(interface, pin_dir);
  const bool was_there = ::access(own_dir.c_str(), F_OK) == 0;
  std::error_code error;
  fs::create_directories(own_dir, error);
  if (error) return failure("cannot create {}: {}", own_dir, error.message());
  Outcome<Attachment> attached = failure("{}", "");
  {
    const auto program = DecapProgram::load(settings, decap_counters_pin(own_dir));
    attached =
        program ? attach((*program)->fd(), interface, ifindex, policy, own_dir) : tl::unexpected(program.error());
  }
  if (!attached && !was_there)
    if (auto removed = detach_decap(interface, pin_dir); !removed)
      return failure("{}; and {}", attached.error(), removed.error());
  return attached;
}

Outcome<bool> detach_decap(const std::string& interface, const std::string& pin_dir) {
  auto removed = remove_all(decap_pin_dir(interface, pin_dir));
  // Goes when the last interface has gone; else it is not empty and stays.
  if (removed) ::rmdir(pin_dir.c_str());
  return removed;
}

}  // namespace weir::bpf

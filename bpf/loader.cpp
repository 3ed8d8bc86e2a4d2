// SPDX-License-Identifier: Apache-2.0
#include "bpf/loader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "bpf/features.hpp"
#include "bpf/mapped.hpp"

// The skeleton names the types of the program's constants without their namespace.
using weir::TableOffsets;
using weir::TableSizes;
using weir::u32;
#include "lb.skel.h"

namespace weir::bpf {
namespace {

namespace fs = std::filesystem;

struct SkeletonDeleter {
  void operator()(lb_skeleton* skeleton) const { lb_skeleton__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<lb_skeleton, SkeletonDeleter>;

// libbpf's messages of the present load, so that a failure can be reported in full.
std::string& load_log() {
  static std::string log;
  return log;
}
int collect(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char* raw = nullptr;
  const int length = vasprintf(&raw, format, arguments);
  const std::unique_ptr<char, decltype(&std::free)> line(length >= 0 ? raw : nullptr, &std::free);
  if (length > 0) {
    // The verifier explains itself at length and says what it refuses at the end.
    constexpr std::size_t telling = 2000;
    const std::string_view text(line.get(), static_cast<std::size_t>(length));
    load_log().append(text.size() > telling ? text.substr(text.size() - telling) : text);
  }
  return length;
}

void set_sizes(const Skeleton& skeleton, const TableSizes& sizes) {
  const TableOffsets offsets = offsets_of(sizes);
  auto& maps = skeleton->maps;
  bpf_map__set_value_size(maps.weir_tables, static_cast<u32>(offsets.end));
  bpf_map__set_max_entries(maps.weir_svc_stats, sizes.services);
  bpf_map__set_max_entries(maps.weir_be_stats, sizes.backends);
  skeleton->rodata->weir_sizes = sizes;
  skeleton->rodata->weir_offsets = offsets;
}

/// Compares a pinned map with what this program would create. Sizes that differ come from changed limits.
Outcome<> compatible(bpf_map* map, const std::string& path, const std::string& pin_dir) {
  const Descriptor fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return failure("cannot open the pinned map {}: {}", path, errno_text(errno));
  bpf_map_info info{};
  u32 length = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(fd.get(), &info, &length); error != 0)
    return failure("cannot inspect the pinned map {}: {}", path, errno_text(error));
  if (info.type != bpf_map__type(map) || info.value_size != bpf_map__value_size(map) ||
      info.max_entries != bpf_map__max_entries(map))
    return failure(
        "the running tables in {} have another size or layout ({} holds {} x {} bytes, {} x {} bytes are wanted); "
        "restore the limits they were made with, or remove the fast path first: lbd --detach",
        pin_dir, bpf_map__name(map), info.max_entries, info.value_size, bpf_map__max_entries(map),
        bpf_map__value_size(map));
  // The kernel adds BPF_F_RDONLY_PROG to a device map, and libbpf 1.1 then takes the pinned one for another map.
  bpf_map__set_map_flags(map, info.map_flags);
  return {};
}

/// Gives every map its pin path; says whether all of them were there already.
Outcome<bool> choose_pins(const Skeleton& skeleton, const std::string& pin_dir) {
  unsigned present = 0;
  unsigned wanted = 0;
  const bpf_map* map = nullptr;
  bpf_map* writable = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    writable = const_cast<bpf_map*>(map);
    if (bpf_map__is_internal(map)) continue;
    const std::string path = pin_dir + "/" + bpf_map__name(map);
    bpf_map__set_pin_path(writable, path.c_str());
    ++wanted;
    if (::access(path.c_str(), F_OK) != 0) continue;
    ++present;
    if (auto same = compatible(writable, path, pin_dir); !same) return tl::unexpected(same.error());
  }
  if (present != 0 && present != wanted)
    return failure("{} holds {} of {} maps: an incomplete fast path; remove it first: lbd --detach", pin_dir, present,
                   wanted);
  return present != 0;
}

}  // namespace

struct Engine::State {
  Skeleton skeleton;
  TableSizes sizes;
  bool adopted = false;
  Mapped image;
  TableMemory memory;
  std::unique_ptr<Counting> counting;
  ring_buffer* ring = nullptr;
  std::function<void(const UnresolvedEvent&)> handle;

  ~State() { ring_buffer__free(ring); }

  Outcome<> map_tables() {
    const bpf_map* map = skeleton->maps.weir_tables;
    auto mapped = Mapped::map(bpf_map__fd(map), bpf_map__value_size(map), 1);
    if (!mapped) return tl::unexpected(mapped.error());
    image = std::move(*mapped);
    memory = tables_in(image.as<u8>().data(), sizes);
    return {};
  }

  static int on_event(void* context, void* data, std::size_t size) {
    const auto* state = static_cast<State*>(context);
    if (size >= sizeof(UnresolvedEvent) && state->handle) state->handle(*static_cast<UnresolvedEvent*>(data));
    return 0;
  }
};

Outcome<std::unique_ptr<Engine>> Engine::load(const LoadOptions& options) {
  if (!options.pin_dir.empty())
    if (auto host = check_host(fs::path(options.pin_dir).parent_path()); !host) return tl::unexpected(host.error());

  load_log().clear();
  libbpf_set_print(collect);
  auto state = std::make_unique<State>();
  state->sizes = options.sizes;
  state->skeleton.reset(lb_skeleton__open());
  if (!state->skeleton) return failure("cannot open the XDP program: {}\n{}", errno_text(errno), load_log());
  set_sizes(state->skeleton, options.sizes);

  if (!options.pin_dir.empty()) {
    auto adopted = choose_pins(state->skeleton, options.pin_dir);
    if (!adopted) return tl::unexpected(adopted.error());
    state->adopted = *adopted;
    std::error_code error;
    fs::create_directories(options.pin_dir, error);
    if (error) return failure("cannot create {}: {}", options.pin_dir, error.message());
  }
  // From here on a failure takes back what this call has pinned.
  const auto give_up = [&](std::string why) {
    if (!options.pin_dir.empty() && !state->adopted) {
      bpf_object__unpin_maps(state->skeleton->obj, nullptr);
      std::error_code ignored;
      fs::remove(options.pin_dir, ignored);
    }
    return tl::unexpected(std::move(why));
  };
  if (const int error = lb_skeleton__load(state->skeleton.get()); error != 0)
    return give_up(fmt::format("the kernel refuses the XDP program: {}\n{}", errno_text(error), load_log()));
  if (auto mapped = state->map_tables(); !mapped) return give_up(mapped.error());
  if (state->adopted &&
      (state->memory.globals->magic != layout_magic || state->memory.globals->version != layout_version))
    return failure(
        "the running tables in {} have layout version {}, this lbd has {}; run the lbd they belong to, or "
        "remove the fast path first: lbd --detach",
        options.pin_dir, state->memory.globals->version, layout_version);
  auto& maps = state->skeleton->maps;
  const u32 control = 0;
  const int control_fd = bpf_program__fd(state->skeleton->progs.weir_control);
  if (bpf_map_update_elem(bpf_map__fd(maps.weir_programs), &control, &control_fd, BPF_ANY) != 0)
    return give_up(fmt::format("cannot enter the program for control messages: {}", errno_text(errno)));
  state->counting = std::make_unique<Counting>(bpf_map__fd(maps.weir_verdicts), bpf_map__fd(maps.weir_svc_stats),
                                               bpf_map__fd(maps.weir_be_stats));
  state->ring = ring_buffer__new(bpf_map__fd(maps.weir_events), State::on_event, state.get(), nullptr);
  if (!state->ring) return give_up(fmt::format("cannot read the event ring: {}", errno_text(errno)));
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

TableMemory& Engine::memory() { return state_->memory; }
const TableSizes& Engine::sizes() const { return state_->sizes; }
bool Engine::adopted() const { return state_->adopted; }
int Engine::program_fd() const { return bpf_program__fd(state_->skeleton->progs.weir_lb); }
Counting& Engine::counting() { return *state_->counting; }
int Engine::event_fd() const { return ring_buffer__epoll_fd(state_->ring); }

Outcome<> Engine::add_device(u32 port, u32 ifindex) {
  if (bpf_map_update_elem(bpf_map__fd(state_->skeleton->maps.weir_devices), &port, &ifindex, BPF_ANY) != 0)
    return failure("cannot enter interface {} into the device map: {}", ifindex, errno_text(errno));
  return {};
}

void Engine::remove_device(u32 port) { bpf_map_delete_elem(bpf_map__fd(state_->skeleton->maps.weir_devices), &port); }

void Engine::drain_events(const std::function<void(const UnresolvedEvent&)>& handle) {
  state_->handle = handle;
  ring_buffer__consume(state_->ring);
  state_->handle = nullptr;
}

}  // namespace weir::bpf

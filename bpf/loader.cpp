// SPDX-License-Identifier: Apache-2.0
#include "bpf/loader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "bpf/features.hpp"
#include "bpf/jiffies.hpp"
#include "bpf/mapped.hpp"
#include "bpf/pins.hpp"

// The skeleton names the types of the program's constants without their namespace.
using weir::FlowOffsets;
using weir::FlowSizes;
using weir::TableOffsets;
using weir::TableSizes;
using weir::u32;
using weir::u64;
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

void set_sizes(const Skeleton& skeleton, const TableSizes& sizes, const FlowSizes& flow_sizes) {
  const TableOffsets offsets = offsets_of(sizes);
  const FlowOffsets flow_offsets = flow_offsets_of(flow_sizes);
  auto& maps = skeleton->maps;
  bpf_map__set_value_size(maps.weir_tables, static_cast<u32>(offsets.end));
  bpf_map__set_value_size(maps.weir_flows, static_cast<u32>(flow_offsets.end));
  bpf_map__set_max_entries(maps.weir_svc_stats, sizes.services);
  bpf_map__set_max_entries(maps.weir_flow_stats, sizes.services);
  bpf_map__set_max_entries(maps.weir_be_stats, sizes.backends);
  skeleton->rodata->weir_sizes = sizes;
  skeleton->rodata->weir_offsets = offsets;
  skeleton->rodata->weir_flow_sizes = flow_sizes;
  skeleton->rodata->weir_flow_offsets = flow_offsets;
}

void set_clock(const Skeleton& skeleton) {
  const Jiffies jiffies = jiffies_of_host();
  skeleton->rodata->weir_jiffy = jiffies.length;
  skeleton->rodata->weir_first_jiffy = jiffies.first;
}

/// A ring buffer of one record type.
template <class Record>
struct Ring {
  ring_buffer* ring = nullptr;
  std::function<void(const Record&)> handle;

  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { ring_buffer__free(ring); }

  bool open(const bpf_map* map) {
    ring = ring_buffer__new(bpf_map__fd(map), &Ring::on_record, this, nullptr);
    return ring != nullptr;
  }
  void drain(const std::function<void(const Record&)>& with) {
    handle = with;
    ring_buffer__consume(ring);
    handle = nullptr;
  }
  static int on_record(void* context, void* data, std::size_t size) {
    const auto* self = static_cast<Ring*>(context);
    if (size >= sizeof(Record) && self->handle) self->handle(*static_cast<const Record*>(data));
    return 0;
  }
};

}  // namespace

struct Engine::State {
  Skeleton skeleton;
  std::string pin_dir;
  TableSizes sizes;
  FlowSizes flow_sizes;
  Pins pins;
  Mapped image, flow_image;
  TableMemory memory;
  FlowMemory flows;
  std::unique_ptr<Counting> counting;
  Ring<UnresolvedEvent> events;
  Ring<EndedFlow> resets;

  Outcome<> map_tables() {
    const auto whole = [](const bpf_map* map) { return Mapped::map(bpf_map__fd(map), bpf_map__value_size(map), 1); };
    auto mapped = whole(skeleton->maps.weir_tables);
    if (!mapped) return tl::unexpected(mapped.error());
    image = std::move(*mapped);
    memory = tables_in(image.as<u8>().data(), sizes);
    mapped = whole(skeleton->maps.weir_flows);
    if (!mapped) return tl::unexpected(mapped.error());
    flow_image = std::move(*mapped);
    flows = flows_in(flow_image.as<u8>().data(), flow_sizes);
    return {};
  }

  /// Whether the flow table that was taken over is of this program's layout.
  Outcome<> check_flows() const {
    if (flows.header->magic == flow_magic && flows.header->version == flow_layout_version &&
        flows.header->sizes == flow_sizes)
      return {};
    return failure(
        "the running flow table in {} has layout version {}, this lbd has {}; run the lbd it belongs to, or remove the "
        "fast path first: lbd --detach",
        pin_dir, flows.header->version, flow_layout_version);
  }
};

Outcome<std::unique_ptr<Engine>> Engine::load(const LoadOptions& options) {
  if (!options.pin_dir.empty())
    if (auto host = check_host(fs::path(options.pin_dir).parent_path()); !host) return tl::unexpected(host.error());

  load_log().clear();
  libbpf_set_print(collect);
  auto state = std::make_unique<State>();
  state->pin_dir = options.pin_dir;
  state->sizes = options.sizes;
  state->flow_sizes = options.flow_sizes;
  for (const u32 count : {options.flow_sizes.embryos, options.flow_sizes.flows, options.flow_sizes.ghosts})
    if (!std::has_single_bit(count)) return failure("a part of the flow table has {} records: no power of two", count);
  state->skeleton.reset(lb_skeleton__open());
  if (!state->skeleton) return failure("cannot open the XDP program: {}\n{}", errno_text(errno), load_log());
  set_sizes(state->skeleton, options.sizes, options.flow_sizes);
  state->skeleton->rodata->weir_still_clock = options.still_clock ? 1 : 0;
  set_clock(state->skeleton);

  if (!options.pin_dir.empty()) {
    auto pins = choose_pins(state->skeleton->obj, options.pin_dir);
    if (!pins) return tl::unexpected(pins.error());
    state->pins = std::move(*pins);
    if (state->pins.former && state->pins.former->sizes != options.sizes)
      return failure(
          "the running tables in {} have other sizes than the limits ask for; restore the limits they were made with, "
          "or remove the fast path first: lbd --detach",
          options.pin_dir);
    std::error_code error;
    fs::create_directories(options.pin_dir, error);
    if (error) return failure("cannot create {}: {}", options.pin_dir, error.message());
  }
  // From here on a failure takes back what this call has pinned.
  const auto give_up = [&](std::string why) {
    if (!options.pin_dir.empty() && !state->pins.adopted) {
      bpf_object__unpin_maps(state->skeleton->obj, nullptr);
      std::error_code ignored;
      fs::remove(options.pin_dir, ignored);
    }
    return tl::unexpected(std::move(why));
  };
  if (const int error = lb_skeleton__load(state->skeleton.get()); error != 0)
    return give_up(fmt::format("the kernel refuses the XDP program: {}\n{}", errno_text(error), load_log()));
  if (auto mapped = state->map_tables(); !mapped) return give_up(mapped.error());
  if (state->flows.header->magic == 0) initialise(state->flows, options.flow_sizes);
  if (auto same = state->check_flows(); !same) return tl::unexpected(same.error());
  if (state->pins.former) take_over(state->pins.former_image.as<u8>().data(), *state->pins.former, state->memory);
  state->pins.former_image = {};
  auto& maps = state->skeleton->maps;
  const u32 control = 0;
  const int control_fd = bpf_program__fd(state->skeleton->progs.weir_control);
  if (bpf_map_update_elem(bpf_map__fd(maps.weir_programs), &control, &control_fd, BPF_ANY) != 0)
    return give_up(fmt::format("cannot enter the program for control messages: {}", errno_text(errno)));
  state->counting = std::make_unique<Counting>(bpf_map__fd(maps.weir_verdicts), bpf_map__fd(maps.weir_svc_stats),
                                               bpf_map__fd(maps.weir_be_stats), bpf_map__fd(maps.weir_flow_stats));
  if (!state->events.open(maps.weir_events) || !state->resets.open(maps.weir_resets))
    return give_up(fmt::format("cannot read the program's event rings: {}", errno_text(errno)));
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

TableMemory& Engine::memory() { return state_->memory; }
const TableSizes& Engine::sizes() const { return state_->sizes; }
FlowMemory& Engine::flows() { return state_->flows; }
bool Engine::adopted() const { return state_->pins.adopted; }
u32 Engine::upgraded_from() const { return state_->pins.former ? state_->pins.former->version : 0; }
Outcome<> Engine::finish_upgrade() { return replace_pins(state_->skeleton->obj, state_->pins, state_->pin_dir); }
int Engine::program_fd() const { return bpf_program__fd(state_->skeleton->progs.weir_lb); }
Counting& Engine::counting() { return *state_->counting; }
int Engine::event_fd() const { return ring_buffer__epoll_fd(state_->events.ring); }
int Engine::reset_fd() const { return ring_buffer__epoll_fd(state_->resets.ring); }

Outcome<> Engine::add_device(u32 port, u32 ifindex) {
  if (bpf_map_update_elem(bpf_map__fd(state_->skeleton->maps.weir_devices), &port, &ifindex, BPF_ANY) != 0)
    return failure("cannot enter interface {} into the device map: {}", ifindex, errno_text(errno));
  return {};
}

void Engine::remove_device(u32 port) { bpf_map_delete_elem(bpf_map__fd(state_->skeleton->maps.weir_devices), &port); }

void Engine::drain_events(const std::function<void(const UnresolvedEvent&)>& handle) { state_->events.drain(handle); }
void Engine::drain_resets(const std::function<void(const EndedFlow&)>& handle) { state_->resets.drain(handle); }

Outcome<> Engine::inject(u32 ifindex, std::span<const u8> frame) const {
  xdp_md context{};
  context.data_end = static_cast<u32>(frame.size());
  context.ingress_ifindex = ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<u32>(frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = 1;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  if (const int error = bpf_prog_test_run_opts(program_fd(), &options); error != 0)
    return failure("cannot send a frame of {} bytes through the XDP program as if from interface {}: {}", frame.size(),
                   ifindex, errno_text(error));
  return {};
}

}  // namespace weir::bpf

// SPDX-License-Identifier: Apache-2.0
// The XDP program by BPF_PROG_TEST_RUN. The verdict is the one whose counter has moved, service and backend are those
// whose counters have; the interface is told by the source MAC that the program wrote, because a test run does not say
// where a redirected frame would go. Which row was picked is no business of the program's: the core's look-ups over the
// same tables say.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "bpf/loader.hpp"
#include "dataplane/memory/host_engine.hpp"
#include "tools/lbsim/engine.hpp"
#include "tools/lbsim/kernel_world.hpp"

namespace weir::lbsim {
namespace {

/// Id of the counters that moved between `before` and `now`; 0 when none did.
u32 moved(const std::vector<Counters>& before, const std::vector<Counters>& now) {
  for (u32 id = 1; id < now.size(); ++id)
    if (before[id].packets != now[id].packets || before[id].return_packets != now[id].return_packets) return id;
  return 0;
}

class XdpEngine : public Engine {
 public:
  XdpEngine(const World& world, std::unique_ptr<bpf::Engine> engine, bool fill_headroom)
      : world_(world), engine_(std::move(engine)), fill_headroom_(fill_headroom) {
    totals_.services.resize(engine_->sizes().services);
    totals_.backends.resize(engine_->sizes().backends);
    totals_.flows.resize(engine_->sizes().services);
  }

  TableMemory& memory() override { return engine_->memory(); }
  FlowMemory& flows() override { return engine_->flows(); }

  Result<> start() override {
    for (const Interface& interface : world_.interfaces)
      if (interface.attached)
        if (auto added = engine_->add_device(port_index(interface.ifindex), interface.ifindex); !added)
          return fail(Fault::internal, "{}", added.error());
    native_ = std::make_unique<HostEngine>(
        engine_->memory(), [this](const Ip& client, const Ip&, u32 length) { return world_.route_to(client, length); },
        [] { return true; },
        MemoryFlows{.memory = before_.memory(), .tick = [this] { return flows().header->still_tick; }});
    return {};
  }

  Result<Fate> run(std::span<const u8> frame, u32 ingress) override {
    Fate fate;
    u32 action = 0;
    copy_flows(flows(), before_.memory());
    auto left = test_run(frame, ingress, action);
    if (!left) return tl::unexpected(left.error());
    if (auto counted = read_counters(fate); !counted) return tl::unexpected(counted.error());
    engine_->drain_resets([&](const EndedFlow& flow) { fate.ended.push_back(flow); });
    const VerdictInfo& info = verdict_table[static_cast<u32>(fate.verdict)];
    const bool fits = info.action == Action::pass   ? action == XDP_PASS
                      : info.action == Action::drop ? action == XDP_DROP
                                                    : action == XDP_TX || action == XDP_REDIRECT;
    if (!fits) return fail(Fault::internal, "the program counted {} but returned the action {}", info.name, action);
    if (info.action != Action::drop) fate.frame = std::move(*left);
    if (info.action == Action::transmit) {
      fate.egress = action == XDP_TX ? ingress : egress_of(fate.frame);
      if (fate.egress == 0)
        return fail(Fault::internal, "the program redirects ({}) a frame whose source MAC is no interface's: {}",
                    info.name, fmt::join(std::span(fate.frame).subspan(6, 6), ":"));
    }
    const Outcome native = native_->run(frame, ingress);
    if (native.verdict == fate.verdict) {
      fate.row = native.row;
      if (fate.service_id == 0) fate.service_id = native.service_id;
      if (fate.backend_id == 0) fate.backend_id = native.backend_id;
    }
    return fate;
  }

 private:
  /// What the program made of the frame. The kernel zeroes the room before it, except for the metadata that a caller
  /// may put there: those bytes stay where they are when the program makes room, and so show what it does not write.
  Result<std::vector<u8>> test_run(std::span<const u8> frame, u32 ingress, u32& action) {
    std::vector<u8> in(fill_headroom_ ? pattern_length_ : 0, HostEngine::headroom_pattern);
    const auto meta = static_cast<u32>(in.size());
    in.insert(in.end(), frame.begin(), frame.end());
    std::vector<u8> out(in.size() + 512);
    xdp_md context{};
    context.data = meta;
    context.data_end = static_cast<u32>(in.size());
    context.ingress_ifindex = ingress;
    xdp_md context_out{};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in.data(), .data_out = out.data(),
                .data_size_in = static_cast<u32>(in.size()), .data_size_out = static_cast<u32>(out.size()),
                .ctx_in = &context, .ctx_out = &context_out, .ctx_size_in = sizeof context,
                .ctx_size_out = sizeof context_out, .repeat = 1);
    const int error = bpf_prog_test_run_opts(engine_->program_fd(), &options);
    if (error == -EINVAL && fill_headroom_ && pattern_length_ > oldest_metadata) {
      pattern_length_ = oldest_metadata;
      return test_run(frame, ingress, action);
    }
    if (error != 0)
      return fail(Fault::internal, "the kernel refuses a test run with a frame of {} bytes: {}; it takes 14 at least",
                  frame.size(), bpf::errno_text(error));
    action = options.retval;
    return std::vector<u8>(out.begin() + meta, out.begin() + options.data_size_out);
  }

  /// Reads all counters anew and tells from what has moved what the program decided.
  Result<> read_counters(Fate& fate) {
    const Totals before = std::exchange(totals_, {});
    bpf::Counting& counting = engine_->counting();
    totals_.verdicts = counting.verdicts();
    for (u32 id = 0; id < before.services.size(); ++id) totals_.services.push_back(counting.service(id));
    for (u32 id = 0; id < before.flows.size(); ++id) totals_.flows.push_back(counting.flows(id));
    for (u32 id = 0; id < before.backends.size(); ++id) totals_.backends.push_back(counting.backend(id));
    u32 verdicts = 0;
    for (u32 v = 0; v < verdict_count; ++v) {
      if (totals_.verdicts[v].packets == before.verdicts[v].packets) continue;
      fate.verdict = static_cast<Verdict>(v);
      verdicts += static_cast<u32>(totals_.verdicts[v].packets - before.verdicts[v].packets);
    }
    if (verdicts != 1) return fail(Fault::internal, "the program counted {} verdicts for one frame", verdicts);
    fate.service_id = moved(before.services, totals_.services);
    fate.backend_id = moved(before.backends, totals_.backends);
    return {};
  }

  [[nodiscard]] u32 egress_of(const std::vector<u8>& frame) const {
    MacBits source = 0;
    for (u32 i = 0; i < 6; ++i) source |= u64{frame[6 + i]} << (8 * i);
    for (const Interface& interface : world_.interfaces)
      if (interface.attached && interface.mac == source) return interface.ifindex;
    return 0;
  }

  // How much metadata a frame may carry: 32 bytes everywhere, from Linux 6.3 on as much as fits 255. 96 is more than
  // any header that is put in front of a frame.
  static constexpr u32 oldest_metadata = 32;
  u32 pattern_length_ = 96;

  const World& world_;
  std::unique_ptr<bpf::Engine> engine_;
  OwnedFlows before_{flow_sizes};  // the flow table that a frame found, for native_
  std::unique_ptr<HostEngine> native_;
  bool fill_headroom_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_xdp_engine(const World& world, const TableSizes& sizes, bool fill_headroom) {
  if (auto entered = enter_kernel_world(world); !entered) return tl::unexpected(entered.error());
  auto engine = bpf::Engine::load({"", sizes, flow_sizes, true});
  if (!engine) return fail(Fault::internal, "{}", engine.error());
  return std::make_unique<XdpEngine>(world, std::move(*engine), fill_headroom);
}

}  // namespace weir::lbsim

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/parse.hpp"
#include "dataplane/memory/host_engine.hpp"
#include "tools/lbsim/engine.hpp"

namespace weir::lbsim {
namespace {

/// What is counted about a frame that is sent.
struct Extent {
  u32 bytes;  // without padding
  bool syn;
};

template <class Net>
Extent extent_of(const Frame& frame, u32 network) {
  Packet<Net> packet;
  static_cast<void>(parse_network(frame, network, packet));
  return {packet.end, packet.syn()};
}

Extent extent_of(std::span<const u8> bytes) {
  // The core's frames are mutable; parsing writes nothing.
  auto* begin = const_cast<u8*>(bytes.data());
  const Frame frame{begin, begin + bytes.size()};
  const auto* ethernet = header_at<Ethernet>(frame, 0);
  if (!ethernet) return {static_cast<u32>(bytes.size()), false};
  const Link link = parse_link(frame, *ethernet);
  return link.type == ether_type::ipv6 ? extent_of<V6>(frame, link.network) : extent_of<V4>(frame, link.network);
}

bool is_return(Verdict verdict) { return verdict == Verdict::returned_nat || verdict == Verdict::returned_icmp; }

class NativeEngine : public Engine {
 public:
  NativeEngine(const World& world, const TableSizes& sizes)
      : world_(world),
        tables_(sizes),
        answers_left_(world.answers),
        engine_(
            tables_.memory(),
            [this](const Ip& client, const Ip&, u32 length) { return world_.route_to(client, length); },
            [this] { return take_answer(); }) {
    totals_.services.resize(sizes.services);
    totals_.backends.resize(sizes.backends);
  }

  TableMemory& memory() override { return tables_.memory(); }
  Result<> start() override { return {}; }

  Result<Fate> run(std::span<const u8> frame, u32 ingress) override {
    Outcome outcome = engine_.run(frame, ingress, world_.headroom);
    const Action action = action_of(outcome.verdict);
    if (action == Action::drop) outcome.frame.clear();
    // What Weir answers itself is no backend's.
    count(frame, outcome, action == Action::transmit && outcome.backend_id != 0);
    return Fate{outcome.verdict,    outcome.egress, outcome.service_id,
                outcome.backend_id, outcome.row,    std::move(outcome.frame)};
  }

 private:
  bool take_answer() {
    if (!answers_left_) return true;
    if (*answers_left_ == 0) return false;
    --*answers_left_;
    return true;
  }

  // HostEngine does not count; the XDP program does. The same rules in another place: the corpus compares them.
  void count(std::span<const u8> frame, const Outcome& outcome, bool sent) {
    const Extent extent = sent ? extent_of(frame) : Extent{static_cast<u32>(frame.size()), false};
    VerdictCounters& verdict = totals_.verdicts[static_cast<u32>(outcome.verdict)];
    verdict.packets += 1;
    verdict.bytes += extent.bytes;
    if (!sent) return;
    add(totals_.services[outcome.service_id], extent, is_return(outcome.verdict));
    add(totals_.backends[outcome.backend_id], extent, is_return(outcome.verdict));
  }

  static void add(Counters& counters, const Extent& extent, bool is_return) {
    (is_return ? counters.return_packets : counters.packets) += 1;
    (is_return ? counters.return_bytes : counters.bytes) += extent.bytes;
    if (!is_return && extent.syn) counters.connections += 1;
  }

  const World& world_;
  OwnedTables tables_;
  std::optional<u32> answers_left_;
  HostEngine engine_;
};

}  // namespace

std::unique_ptr<Engine> make_native_engine(const World& world, const TableSizes& sizes) {
  return std::make_unique<NativeEngine>(world, sizes);
}

}  // namespace weir::lbsim

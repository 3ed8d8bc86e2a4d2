// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/count.hpp"

#include <chrono>
#include <thread>

#include "tools/lbgen/stop.hpp"

namespace weir::lbgen {

Result<Received> count(const std::string& interface, u32 ifindex, const CountBounds& bounds, bool drop,
                       const std::function<void()>& ready) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  auto counter = bpf::Counter::attach(interface, ifindex, drop);
  if (!counter) return fail(Fault::internal, "{}", counter.error());
  Received received{.native = (*counter)->native()};
  ready();
  const auto start = Clock::now();
  auto moved = start;
  u64 before = 0;
  while (true) {
    const u64 packets = (*counter)->packets();
    const auto now = Clock::now();
    if (packets != before) moved = now;
    before = packets;
    if (stopped_by() != 0) received.ended = Ended::signal;
    if (bounds.packets && packets >= *bounds.packets) received.ended = Ended::packets;
    received.idle = bounds.idle && packets != 0 && Seconds(now - moved).count() >= *bounds.idle;
    if (received.ended != Ended::seconds || received.idle || Seconds(now - start).count() >= bounds.seconds) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  received.counted = (*counter)->read();
  const auto& total = received.counted.total;
  received.seconds = static_cast<double>(total.last - total.first) * 1e-9;
  return received;
}

}  // namespace weir::lbgen

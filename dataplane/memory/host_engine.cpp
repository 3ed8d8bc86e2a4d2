// SPDX-License-Identifier: Apache-2.0
#include "dataplane/memory/host_engine.hpp"

#include <cstring>
#include <memory>
#include <utility>

#include "dataplane/core/rewrite.hpp"

namespace weir {

HostEngine::HostEngine(const TableMemory& memory, RouteFunction route, std::function<bool()> allow_answer)
    : tables_(memory, std::move(route), std::move(allow_answer)) {}

Outcome HostEngine::run(std::span<const u8> frame, u32 ingress, u32 headroom) const {
  // An allocation of just this size, so that AddressSanitizer sees a byte beyond it.
  const std::size_t length = headroom + frame.size();
  const std::unique_ptr<u8[]> buffer(new u8[length]);
  std::memset(buffer.get(), headroom_pattern, headroom);
  if (!frame.empty()) std::memcpy(buffer.get() + headroom, frame.data(), frame.size());
  Frame view{buffer.get() + headroom, buffer.get() + length};
  Outcome outcome;
  outcome.verdict = decide(view, tables_, ingress, [&](const auto& t) {
    outcome.egress = t.egress.ifindex;
    outcome.service_id = t.service_id;
    outcome.backend_id = t.backend_id;
    return rewrite(view, t);
  });
  outcome.frame.assign(view.begin, view.end);
  return outcome;
}

}  // namespace weir

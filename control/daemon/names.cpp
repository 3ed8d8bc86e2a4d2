// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/names.hpp"

#include "control/daemon/report.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {

Names::Names(const model::Pool& pool, FastPath& fast_path) : memory_(fast_path.memory()) {
  for (const auto& [name, service] : pool.services()) {
    const table::Placed* placed = fast_path.publisher().placed(name);
    if (!placed) continue;
    services_.emplace(placed->id, name);
    for (const model::Backend& backend : service->backends)
      backends_.emplace(backend_id(*placed, backend), backend.name);
  }
}

std::string Names::service(u32 id) const {
  const auto found = services_.find(id);
  return found == services_.end() ? std::string() : found->second;
}

std::string Names::backend(u32 id) const {
  if (id == nobody || id >= memory_.backends.size()) return {};
  if (const auto found = backends_.find(id); found != backends_.end()) return found->second;
  const Backend& record = memory_.backends[id];
  return model::to_text(model::Endpoint{record.address, to_host(record.port)});
}

}  // namespace weir::daemon

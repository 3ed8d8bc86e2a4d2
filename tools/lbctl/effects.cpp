// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/effects.hpp"

#include <fmt/format.h>

namespace weir::lbctl {

using nlohmann::json;

std::string effects_text(const json& document) {
  std::string out;
  for (const json& effect : document.value("effects", json::array())) {
    out += fmt::format("{}: moves {:.2f} % of rows ({} of {}), affects {} of {} known flows",
                       effect.at("service").get<std::string>(), 100 * effect.value("share", 0.0),
                       effect.value("rows_moved", 0ULL), effect.value("rows", 0ULL),
                       effect.value("flows_affected", 0ULL), effect.value("flows_known", 0ULL));
    out += effect.value("complete", false) ? "\n" : ", and may affect flows that are not remembered\n";
  }
  return out;
}

}  // namespace weir::lbctl

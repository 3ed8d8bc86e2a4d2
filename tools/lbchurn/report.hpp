// SPDX-License-Identifier: Apache-2.0
// What lbchurn prints.
#pragma once

#include <string>
#include <vector>

#include "tools/lbchurn/flows.hpp"
#include "tools/lbchurn/tables.hpp"

namespace weir::lbchurn {

/// For people, and as one JSON document; both end with a newline and name the seed.
[[nodiscard]] std::string text_of(const TableStudy& wanted, const std::vector<TableFigures>& found);
[[nodiscard]] std::string json_of(const TableStudy& wanted, const std::vector<TableFigures>& found);
[[nodiscard]] std::string text_of(const FlowStudy& wanted, const FlowReport& found);
[[nodiscard]] std::string json_of(const FlowStudy& wanted, const FlowReport& found);

}  // namespace weir::lbchurn

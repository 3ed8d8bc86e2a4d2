// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::lbctl {

std::string Table::text(bool headers) const {
  std::vector<std::vector<std::string>> lines;
  if (headers) {
    auto& titles = lines.emplace_back();
    for (const Column& column : columns_) titles.emplace_back(column.title);
  }
  lines.insert(lines.end(), rows_.begin(), rows_.end());

  std::vector<std::size_t> widths(columns_.size(), 1);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < columns_.size(); ++i) widths[i] = std::max(widths[i], line[i].size());

  std::string out;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string_view cell = line[i].empty() ? std::string_view("-") : std::string_view(line[i]);
      if (i > 0) row += "  ";
      row += columns_[i].align == Align::right ? fmt::format("{:>{}}", cell, widths[i])
                                               : fmt::format("{:<{}}", cell, widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += row + '\n';
  }
  return out;
}

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// Aligned columns for people that awk can split: no cell is empty or contains a blank, but for the last column.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace weir::lbctl {

enum class Align { left, right };

class Table {
 public:
  struct Column {
    std::string_view title;
    Align align = Align::left;
  };
  Table(std::initializer_list<Column> columns) : columns_(columns) {}

  /// As many cells as there are columns; an empty one is shown as "-".
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// Lines without trailing blanks.
  [[nodiscard]] std::string text(bool headers = true) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
// How a wait goes, on standard error: on a terminal one line that is written over, elsewhere a line for each change.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace weir::lbctl {

class Progress {
 public:
  Progress();
  ~Progress() { clear(); }  // whatever is printed next begins a line of its own
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// How it stands. Where lines stay, `line` is one only if `key` is not that of the last one.
  void show(const std::string& key, const std::string& line);
  /// A line that stays, on a terminal too.
  void note(const std::string& line);
  /// Leaves an empty line on the terminal.
  void clear();

 private:
  bool terminal_;
  std::size_t width_ = 0;  ///< of the line that stands on the terminal
  std::optional<std::string> key_;
};

}  // namespace weir::lbctl

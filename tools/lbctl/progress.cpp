// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace weir::lbctl {

namespace {

/// What fits into one line; a longer one would wrap, and the next could not be written over it.
std::size_t columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
  return size.ws_col - 1U;
}

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& key, const std::string& line) {
  if (terminal_) {
    const std::string shown = line.substr(0, columns());
    clear();
    fmt::print(stderr, "{}", shown);
    width_ = shown.size();
  } else if (key_ != key) {
    fmt::print(stderr, "{}\n", line);
  }
  key_ = key;
}

void Progress::note(const std::string& line) {
  clear();
  fmt::print(stderr, "{}\n", line);
}

void Progress::clear() {
  if (width_ > 0) fmt::print(stderr, "\r{:{}}\r", "", width_);
  width_ = 0;
}

}  // namespace weir::lbctl

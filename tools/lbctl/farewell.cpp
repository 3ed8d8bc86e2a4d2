// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/farewell.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

namespace weir::lbctl {

namespace {

std::string farewell;  // made before the handler is there, which may call next to nothing

void leave(int signal) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, farewell.data(), farewell.size());
  _exit(128 + signal);
}

}  // namespace

void leave_with(const std::string& words) {
  // On a terminal the progress line stands there, and ^C behind it.
  farewell = fmt::format("{}lbctl: {}\n", isatty(STDERR_FILENO) == 1 ? "\n" : "", words);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = leave;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace weir::lbctl

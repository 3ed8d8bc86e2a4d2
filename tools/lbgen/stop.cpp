// SPDX-License-Identifier: Apache-2.0
#include "tools/lbgen/stop.hpp"

#include <atomic>
#include <csignal>

namespace weir::lbgen {
namespace {

std::atomic<int> signal_seen{0};
static_assert(std::atomic<int>::is_always_lock_free);

void mark(int number) {
  int none = 0;
  signal_seen.compare_exchange_strong(none, number);
}

}  // namespace

void heed_signals() {
  struct sigaction action {};
  action.sa_handler = mark;  // without SA_RESTART
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int stopped_by() { return signal_seen.load(); }

}  // namespace weir::lbgen

// SPDX-License-Identifier: Apache-2.0
// How a verb ends: text for stdout, or a sentence for stderr with an exit code.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace weir::lbctl {

enum class Exit : int {
  ok = 0,
  failed = 1,
  usage = 2,
  timed_out = 3,    ///< no answer within --timeout, or what was waited for did not come in time
  unreachable = 4,  ///< no daemon on the socket
  refused = 5,      ///< a safety rule forbids it; --force overrides
};

struct Failure {
  Exit exit = Exit::failed;
  std::string message;      ///< without the program's name and without a newline
  std::string output = {};  ///< for stdout all the same
  unsigned status = 0;      ///< of lbd's answer, if it was one that failed
};

template <class T = void>
using Outcome = tl::expected<T, Failure>;

template <class... Args>
[[nodiscard]] tl::unexpected<Failure> fail(Exit exit, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected(Failure{exit, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace weir::lbctl

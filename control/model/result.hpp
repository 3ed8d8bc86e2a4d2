// SPDX-License-Identifier: Apache-2.0
// Failure in the control plane: a value with a sentence for a person. main() and the API are the borders that print it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace weir {

/// What kind of failure it was; decides the HTTP status and lbctl's exit code.
enum class Fault {
  invalid,    ///< the request or the file is wrong (HTTP 400, exit 1)
  not_found,  ///< it names something that does not exist (HTTP 404, exit 1)
  conflict,   ///< it contradicts what exists (HTTP 409, exit 1)
  refused,    ///< a safety rule forbids it; --force overrides (HTTP 412, exit 5)
  internal,   ///< the system failed, not the request (HTTP 500, exit 1)
};

/// Names what failed, with which value, and what to do about it; one sentence or two, no trailing newline.
struct Error {
  Fault fault = Fault::internal;
  std::string message;
};

template <class T = void>
using Result = tl::expected<T, Error>;

template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Fault fault, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected(Error{fault, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace weir

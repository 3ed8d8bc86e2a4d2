// SPDX-License-Identifier: Apache-2.0
// Failure to get something from the kernel's BPF: one or two sentences for a person.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace weir::bpf {

template <class T = void>
using Outcome = tl::expected<T, std::string>;

template <class... Args>
[[nodiscard]] tl::unexpected<std::string> failure(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected(fmt::format(format, std::forward<Args>(args)...));
}

/// The text of an errno value, positive or negative.
[[nodiscard]] inline std::string errno_text(int error) { return std::strerror(error < 0 ? -error : error); }

}  // namespace weir::bpf

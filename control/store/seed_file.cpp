// SPDX-License-Identifier: Apache-2.0
#include "control/store/seed_file.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "control/model/text.hpp"
#include "control/store/atomic_file.hpp"

namespace weir::store {

Result<model::Seed> load_or_create_seed(const std::string& path) {
  auto text = read_file(path);
  if (!text) return tl::unexpected(std::move(text.error()));
  if (*text) {
    std::string_view digits = **text;
    if (digits.ends_with('\n')) digits.remove_suffix(1);
    auto seed = model::parse_seed(digits);
    if (seed) return *seed;
    return fail(Fault::invalid,
                "{} does not hold a seed of 32 hexadecimal digits; restore it, or delete it to get a new one (which "
                "moves connections to other backends)",
                path);
  }
  model::Seed seed{};
  if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size()))
    return fail(Fault::internal, "cannot make a seed: getrandom: {}; write 32 hexadecimal digits to {}",
                std::strerror(errno), path);
  if (auto written = write_file(path, model::to_text(seed) + "\n", 0600); !written)
    return tl::unexpected(std::move(written.error()));
  return seed;
}

}  // namespace weir::store

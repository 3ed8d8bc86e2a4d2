// SPDX-License-Identifier: Apache-2.0
// Typed reading of TOML tables. Every problem is noted with its place, reading goes on, and the first in the text wins.
#pragma once

#include <toml++/toml.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/core/types.hpp"

namespace weir::config {

/// Line and column, both from 1, in bytes.
struct Place {
  u32 line = 1;
  u32 column = 1;
  // NOLINTNEXTLINE(modernize-use-nullptr): version 14 sees one in what the compiler makes of this
  friend auto operator<=>(const Place&, const Place&) = default;
};
[[nodiscard]] Place place_of(const toml::node& node);

class Reader {
 public:
  /// Notes a problem. Only the first of the text is kept.
  void complain(Place place, std::string message);
  [[nodiscard]] bool failed() const { return first_.has_value(); }
  [[nodiscard]] Error error(const std::string& file_name) const;

  /// Complains about keys that are not in `known`, and suggests the nearest.
  void only(const toml::table& table, std::initializer_list<std::string_view> known);
  /// Complains that `key` is absent from `table`, which is the `what` ("service") that needs it.
  void missing(const toml::table& table, std::string_view key, std::string_view what);

  // Each returns the key's value, or nothing when it is absent or has been complained about.
  std::optional<u32> integer(const toml::table& table, std::string_view key, u32 least, u32 most);
  std::optional<std::string> text(const toml::table& table, std::string_view key);
  std::optional<bool> flag(const toml::table& table, std::string_view key);
  /// Seconds, from an integer or from text like "1h30m".
  std::optional<u32> duration(const toml::table& table, std::string_view key);
  const toml::table* table(const toml::table& parent, std::string_view key);
  /// The tables of [[key]], none when it is absent.
  std::vector<const toml::table*> tables(const toml::table& parent, std::string_view key);

  /// text(), then `parse`: a Result<T>(std::string_view) from control/model/text.hpp.
  template <class Parse>
  auto parsed(const toml::table& table, std::string_view key, Parse parse)
      -> std::optional<typename decltype(parse(std::string_view{}))::value_type> {
    const auto value = text(table, key);
    if (!value) return {};
    auto result = parse(*value);
    if (result) return std::move(*result);
    complain(place_of(*table.get(key)), fmt::format("{}: {}", key, result.error().message));
    return {};
  }

 private:
  void wrong_type(const toml::node& node, std::string_view key, std::string_view wanted);

  struct Problem {
    Place place;
    std::string message;
  };
  std::optional<Problem> first_;
};

}  // namespace weir::config

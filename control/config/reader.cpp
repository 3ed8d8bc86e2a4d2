// SPDX-License-Identifier: Apache-2.0
#include "control/config/reader.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <sstream>

#include "control/model/text.hpp"

namespace weir::config {
namespace {

/// Levenshtein distance: the fewest insertions, deletions and substitutions that make `b` from `a`.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, substituted});
    }
  }
  return row.back();
}

std::string listed(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

std::string value_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return fmt::format("\"{:.40}\"", text->get());
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  return std::move(out).str();
}

std::string_view type_text(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

}  // namespace

Place place_of(const toml::node& node) { return {node.source().begin.line, node.source().begin.column}; }

void Reader::complain(Place place, std::string message) {
  if (!first_ || place < first_->place) first_ = Problem{place, std::move(message)};
}

Error Reader::error(const std::string& file_name) const {
  return {Fault::invalid,
          fmt::format("{}:{}:{}: {}", file_name, first_->place.line, first_->place.column, first_->message)};
}

void Reader::only(const toml::table& table, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : table) {
    const std::string_view word = key.str();
    if (std::find(known.begin(), known.end(), word) != known.end()) continue;
    const std::string_view nearest = *std::min_element(
        known.begin(), known.end(), [&word](auto a, auto b) { return distance(word, a) < distance(word, b); });
    // Half of the word may be wrong; beyond that, a suggestion is a guess.
    const bool is_near = distance(word, nearest) * 2 <= nearest.size();
    complain({key.source().begin.line, key.source().begin.column},
             is_near ? fmt::format("unknown key \"{}\"; did you mean \"{}\"?", key.str(), nearest)
                     : fmt::format("unknown key \"{}\"; the keys here are {}", key.str(), listed(known)));
  }
}

void Reader::missing(const toml::table& table, std::string_view key, std::string_view what) {
  complain(place_of(table), fmt::format("{} has no \"{}\"; add it", what, key));
}

void Reader::wrong_type(const toml::node& node, std::string_view key, std::string_view wanted) {
  const std::string shown = node.is_value() ? fmt::format(" ({})", value_text(node)) : "";
  complain(place_of(node), fmt::format("{} is {}{}; write {}", key, type_text(node), shown, wanted));
}

std::optional<u32> Reader::integer(const toml::table& table, std::string_view key, u32 least, u32 most) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(*node, key, fmt::format("an integer from {} to {}", least, most));
    return {};
  }
  if (value->get() < least || value->get() > most) {
    complain(place_of(*node), fmt::format("{} {} is outside {}..{}", key, value->get(), least, most));
    return {};
  }
  return static_cast<u32>(value->get());
}

std::optional<std::string> Reader::text(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (const auto* value = node->as_string()) return value->get();
  wrong_type(*node, key, "a string in quotes");
  return {};
}

std::optional<bool> Reader::flag(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (const auto* value = node->as_boolean()) return value->get();
  wrong_type(*node, key, "true or false");
  return {};
}

std::optional<u32> Reader::duration(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (node->is_integer()) return integer(table, key, 0, std::numeric_limits<u32>::max());
  if (node->is_string()) return parsed(table, key, model::parse_duration);
  wrong_type(*node, key, "a duration, for example \"90s\", \"15m\" or \"1h30m\", or seconds as an integer");
  return {};
}

const toml::table* Reader::table(const toml::table& parent, std::string_view key) {
  const toml::node* node = parent.get(key);
  if (node == nullptr) return nullptr;
  if (node->is_table()) return node->as_table();
  wrong_type(*node, key, fmt::format("a table [{}]", key));
  return nullptr;
}

std::vector<const toml::table*> Reader::tables(const toml::table& parent, std::string_view key) {
  const toml::node* node = parent.get(key);
  if (node == nullptr) return {};
  const toml::array* array = node->as_array();
  std::vector<const toml::table*> tables;
  if (array != nullptr)
    for (const toml::node& item : *array)
      if (item.is_table()) tables.push_back(item.as_table());
  if (array == nullptr || tables.size() != array->size())
    wrong_type(*node, key, fmt::format("each one under a heading [[{}]]", key));
  return tables;
}

}  // namespace weir::config

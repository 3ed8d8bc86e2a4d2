// SPDX-License-Identifier: Apache-2.0
#include "control/api/body.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "control/api/answer.hpp"
#include "control/api/target.hpp"
#include "control/model/text.hpp"

namespace weir::api {

namespace {

using nlohmann::json;
using Names = std::initializer_list<std::string_view>;

std::string joined(Names names) { return fmt::format("{}", fmt::join(names, ", ")); }

// `value` for a message, on one line and short whatever the client sent.
std::string shown(const json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_structured()) return value.is_array() ? "an array" : "an object";
  return value.dump();
}

Result<json> parse_object(std::string_view body, Names known) {
  std::vector<std::string> seen;
  std::string twice;
  const auto note_key = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event != json::parse_event_t::key || depth != 1) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) twice = key;
    seen.push_back(key);
    return true;
  };
  json object;
  try {
    object = json::parse(body, note_key);
  } catch (const json::exception& error) {  // "[json.exception.parse_error.101] parse error at line 1, column 8: ..."
    const std::string_view text = error.what();
    return fail(Fault::invalid, "the body is not JSON: {:.200}", text.substr(text.find("] ") + 2));
  }
  if (!object.is_object())
    return fail(Fault::invalid, "the body is {}; send a JSON object with {}", shown(object), joined(known));
  for (const std::string& key : seen)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Fault::invalid, "unknown field {}; known are {}", in_quotes(key), joined(known));
  if (!twice.empty()) return fail(Fault::invalid, "field {} is given twice", in_quotes(twice));
  return object;
}

/// A text field as `parse` understands it; absent stays absent.
template <class Parse>
auto text_field(const json& object, const char* name, Parse parse)
    -> Result<std::optional<typename decltype(parse(std::string_view{}))::value_type>> {
  using Value = typename decltype(parse(std::string_view{}))::value_type;
  const auto field = object.find(name);
  if (field == object.end()) return std::optional<Value>{};
  if (!field->is_string()) return fail(Fault::invalid, "{} {} is not a string", name, shown(*field));
  auto value = parse(field->get_ref<const std::string&>());
  if (!value) return tl::unexpected(about(name, value.error()));
  return std::optional<Value>(std::move(*value));
}

Result<std::optional<u32>> number_field(const json& object, const char* name, u32 max) {
  const auto field = object.find(name);
  if (field == object.end()) return std::optional<u32>{};
  if (!field->is_number_integer())
    return fail(Fault::invalid, "{} {} is not a whole number in 0..{}", name, shown(*field), max);
  // A negative number is stored as signed, anything else as unsigned.
  if (!field->is_number_unsigned() || field->get<u64>() > max)
    return fail(Fault::invalid, "{} {} is outside 0..{}", name, field->dump(), max);
  return std::optional<u32>(field->get<u32>());
}

Result<> required(const json& object, Names names) {
  for (const std::string_view name : names)
    if (!object.contains(name)) return fail(Fault::invalid, "field \"{}\" is missing", name);
  return {};
}

Result<> not_empty(const json& object, Names names) {
  if (object.empty())
    return fail(Fault::invalid, "the body names nothing to change; give at least one of {}", joined(names));
  return {};
}

// Which row counts and segment sizes are valid is the model's rule; here they only have to be numbers that the model
// can be asked about.
constexpr u32 any_number = std::numeric_limits<u32>::max();

/// The first error among results, if any.
template <class... Results>
std::optional<Error> first_error(const Results&... results) {
  std::optional<Error> error;
  (void)((results ? false : (error = results.error(), true)) || ...);
  return error;
}

}  // namespace

Result<model::AddService> parse_add_service(const std::string& name, std::string_view body) {
  const auto object = parse_object(body, {"vip", "mode", "hash", "rows", "mss"});
  if (!object) return tl::unexpected(object.error());
  const auto complete = required(*object, {"vip", "mode"});
  const auto vip = text_field(*object, "vip", model::parse_vip);
  const auto mode = text_field(*object, "mode", model::parse_mode);
  const auto hash = text_field(*object, "hash", model::parse_hash);
  const auto rows = number_field(*object, "rows", any_number);
  const auto mss = number_field(*object, "mss", any_number);
  if (const auto error = first_error(complete, vip, mode, hash, rows, mss)) return tl::unexpected(*error);

  model::AddService add;
  add.service.name = name;
  add.service.vip = (*vip)->endpoint;
  add.service.protocol = (*vip)->protocol;
  add.service.mode = **mode;
  add.service.hash = hash->value_or(add.service.hash);
  add.service.rows = rows->value_or(add.service.rows);
  add.service.mss = mss->value_or(add.service.mss);
  return add;
}

Result<model::SetService> parse_set_service(const std::string& name, std::string_view body) {
  const auto object = parse_object(body, {"hash", "rows", "mss"});
  if (!object) return tl::unexpected(object.error());
  const auto asked = not_empty(*object, {"hash", "rows", "mss"});
  const auto hash = text_field(*object, "hash", model::parse_hash);
  const auto rows = number_field(*object, "rows", any_number);
  const auto mss = number_field(*object, "mss", any_number);
  if (const auto error = first_error(asked, hash, rows, mss)) return tl::unexpected(*error);
  return model::SetService{name, *hash, *rows, *mss};
}

Result<model::AddBackend> parse_add_backend(const std::string& service, const std::string& name,
                                            std::string_view body) {
  const auto object = parse_object(body, {"address", "weight", "admin"});
  if (!object) return tl::unexpected(object.error());
  const auto complete = required(*object, {"address"});
  const auto endpoint = text_field(*object, "address", model::parse_endpoint);
  const auto weight = number_field(*object, "weight", model::max_weight);
  const auto admin = text_field(*object, "admin", model::parse_admin);
  if (const auto error = first_error(complete, endpoint, weight, admin)) return tl::unexpected(*error);

  model::AddBackend add;
  add.service = service;
  add.backend.name = name == "-" ? "" : name;
  add.backend.endpoint = **endpoint;
  add.backend.weight = weight->value_or(add.backend.weight);
  add.backend.admin = admin->value_or(add.backend.admin);
  return add;
}

Result<model::SetBackend> parse_set_backend(const std::string& service, const std::string& name,
                                            std::string_view body) {
  const auto object = parse_object(body, {"weight", "admin"});
  if (!object) return tl::unexpected(object.error());
  const auto asked = not_empty(*object, {"weight", "admin"});
  const auto weight = number_field(*object, "weight", model::max_weight);
  const auto admin = text_field(*object, "admin", model::parse_admin);
  if (const auto error = first_error(asked, weight, admin)) return tl::unexpected(*error);
  return model::SetBackend{service, name, *weight, *admin};
}

}  // namespace weir::api

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

/// Complains about a key of `object` that is not in `known`.
Result<> only(const std::vector<std::string>& keys, Names known) {
  for (const std::string& key : keys)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Fault::invalid, "unknown field {}; known are {}", in_quotes(key), joined(known));
  return {};
}

Result<json> parse_object(std::string_view body, Names known) {
  std::vector<std::string> seen;
  std::vector<std::string> seen_inside;  // of the object that is being read inside the outer one
  std::string twice;
  const auto note_key = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth == 1 && event == json::parse_event_t::object_start) seen_inside.clear();
    if (event != json::parse_event_t::key || depth > 2) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    auto& keys = depth == 1 ? seen : seen_inside;
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) twice = key;
    keys.push_back(key);
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
  if (const auto fine = only(seen, known); !fine) return tl::unexpected(fine.error());
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

Result<std::optional<bool>> flag_field(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end()) return std::optional<bool>{};
  if (!field->is_boolean()) return fail(Fault::invalid, "{} {} is not true or false", name, shown(*field));
  return std::optional<bool>(field->get<bool>());
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

/// What PUT and PATCH of a service have in common.
const Names tuning = {"hash",      "rows",           "mss",          "track",
                      "on_remove", "settle_seconds", "idle_seconds", "idle_closing_seconds"};

Result<model::SetService> read_tuning(const std::string& name, const json& object) {
  const auto hash = text_field(object, "hash", model::parse_hash);
  const auto rows = number_field(object, "rows", any_number);
  const auto mss = number_field(object, "mss", any_number);
  const auto track = text_field(object, "track", model::parse_track);
  const auto on_remove = text_field(object, "on_remove", model::parse_on_remove);
  const auto settle = number_field(object, "settle_seconds", any_number);
  const auto idle = number_field(object, "idle_seconds", any_number);
  const auto idle_closing = number_field(object, "idle_closing_seconds", any_number);
  if (const auto error = first_error(hash, rows, mss, track, on_remove, settle, idle, idle_closing))
    return tl::unexpected(*error);
  return model::SetService{name, *hash, *rows, *mss, *track, *on_remove, *settle, *idle, *idle_closing};
}

Result<bool> parse_then(std::string_view text) {
  if (text == "remove") return true;
  return fail(Fault::invalid, "{} is not known; write remove, or leave it out", in_quotes(text));
}

Result<std::optional<model::Drain>> drain_field(const json& outer) {
  const auto field = outer.find("drain");
  if (field == outer.end()) return std::optional<model::Drain>{};
  const Names known = {"deadline_seconds", "then", "force_after", "watch_seconds"};
  if (!field->is_object())
    return fail(Fault::invalid, "drain is {}; send an object with {}", shown(*field), joined(known));
  std::vector<std::string> keys;
  for (const auto& [key, value] : field->items()) keys.push_back(key);
  const auto fine = only(keys, known);
  const auto deadline = number_field(*field, "deadline_seconds", any_number);
  const auto then_remove = text_field(*field, "then", parse_then);
  const auto force_after = flag_field(*field, "force_after");
  const auto watch = number_field(*field, "watch_seconds", any_number);
  if (auto error = first_error(fine, deadline, then_remove, force_after, watch))
    return tl::unexpected(about("drain", *error));
  model::Drain drain;
  drain.deadline = deadline->value_or(drain.deadline);
  drain.then_remove = then_remove->value_or(drain.then_remove);
  drain.force_after = force_after->value_or(drain.force_after);
  drain.watch = watch->value_or(drain.watch);
  return std::optional<model::Drain>(drain);
}

}  // namespace

Result<model::AddService> parse_add_service(const std::string& name, std::string_view body) {
  const auto object = parse_object(body, {"vip", "mode", "hash", "rows", "mss", "track", "on_remove", "settle_seconds",
                                          "idle_seconds", "idle_closing_seconds"});
  if (!object) return tl::unexpected(object.error());
  const auto complete = required(*object, {"vip", "mode"});
  const auto vip = text_field(*object, "vip", model::parse_vip);
  const auto mode = text_field(*object, "mode", model::parse_mode);
  const auto tuned = read_tuning(name, *object);
  if (const auto error = first_error(complete, vip, mode, tuned)) return tl::unexpected(*error);

  model::AddService add;
  model::Service& service = add.service;
  service.name = name;
  service.vip = (*vip)->endpoint;
  service.protocol = (*vip)->protocol;
  service.mode = **mode;
  service.hash = tuned->hash.value_or(service.hash);
  service.rows = tuned->rows.value_or(service.rows);
  service.mss = tuned->mss.value_or(service.mss);
  service.track = tuned->track.value_or(service.track);
  service.on_remove = tuned->on_remove.value_or(model::default_on_remove(service.protocol));
  service.settle = tuned->settle.value_or(service.settle);
  service.idle = tuned->idle.value_or(model::default_idle(service.protocol));
  service.idle_closing = tuned->idle_closing.value_or(service.idle_closing);
  return add;
}

Result<model::SetService> parse_set_service(const std::string& name, std::string_view body) {
  const auto object = parse_object(body, tuning);
  if (!object) return tl::unexpected(object.error());
  if (const auto asked = not_empty(*object, tuning); !asked) return tl::unexpected(asked.error());
  return read_tuning(name, *object);
}

Result<model::AddBackend> parse_add_backend(const std::string& service, const std::string& name,
                                            std::string_view body) {
  const auto object = parse_object(body, {"address", "weight", "admin", "drain"});
  if (!object) return tl::unexpected(object.error());
  const auto complete = required(*object, {"address"});
  const auto endpoint = text_field(*object, "address", model::parse_endpoint);
  const auto weight = number_field(*object, "weight", model::max_weight);
  const auto admin = text_field(*object, "admin", model::parse_admin);
  const auto drain = drain_field(*object);
  if (const auto error = first_error(complete, endpoint, weight, admin, drain)) return tl::unexpected(*error);

  model::AddBackend add;
  add.service = service;
  add.backend.name = name == "-" ? "" : name;
  add.backend.endpoint = **endpoint;
  add.backend.weight = weight->value_or(add.backend.weight);
  add.backend.admin = admin->value_or(add.backend.admin);
  add.backend.drain = *drain;
  return add;
}

Result<model::SetBackend> parse_set_backend(const std::string& service, const std::string& name,
                                            std::string_view body) {
  const auto object = parse_object(body, {"weight", "admin", "drain"});
  if (!object) return tl::unexpected(object.error());
  const auto asked = not_empty(*object, {"weight", "admin", "drain"});
  const auto weight = number_field(*object, "weight", model::max_weight);
  const auto admin = text_field(*object, "admin", model::parse_admin);
  const auto drain = drain_field(*object);
  if (const auto error = first_error(asked, weight, admin, drain)) return tl::unexpected(*error);
  return model::SetBackend{service, name, *weight, *admin, *drain};
}

}  // namespace weir::api

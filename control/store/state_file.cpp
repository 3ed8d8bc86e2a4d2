// SPDX-License-Identifier: Apache-2.0
#include "control/store/state_file.hpp"

#include <xxhash.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/store/atomic_file.hpp"
#include "control/store/state_json.hpp"

namespace weir::store {
namespace {

constexpr std::string_view magic = "weir-state ";
constexpr std::string_view version = "1";

template <class T>
bool read_number(std::string_view text, T& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

/// Cuts off and returns what stands before the next `separator`; all of it when there is none.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return head;
}

/// The body, once header, length and checksum have been found to agree.
Result<std::string_view> body_of(std::string_view text) {
  if (!text.starts_with(magic)) return fail(Fault::invalid, "it does not begin with \"{}\"", magic);
  std::string_view header = cut(text, '\n').substr(magic.size());
  if (const std::string_view found = cut(header, ' '); found != version)
    return fail(Fault::invalid, "it is of version \"{}\", this lbd reads version {}", found, version);
  u64 sum = 0;
  std::size_t length = 0;
  const std::string_view sum_text = cut(header, ' ');
  if (!read_number(sum_text, sum, 16) || !read_number(header, length, 10))
    return fail(Fault::invalid, "its first line is damaged");
  if (text.size() != length)
    return fail(Fault::invalid, "it has {} bytes after the first line, which says {}", text.size(), length);
  if (checksum(text) != sum)
    return fail(Fault::invalid, "its checksum is {:016x}, its first line says {}", checksum(text), sum_text);
  return text;
}

Result<State> state_from(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, /* allow_exceptions= */ false);
  const auto member = [&](const char* key, auto type) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    return found != json.end() && found->type() == type ? &*found : nullptr;
  };
  using Type = nlohmann::json::value_t;
  const auto* base = member("base", Type::string);
  const auto* config = member("config_checksum", Type::string);
  const auto* services = member("services", Type::object);
  const auto* tombstones = member("tombstones", Type::array);
  State state;
  if (base == nullptr || config == nullptr || services == nullptr || tombstones == nullptr ||
      !read_number(config->get_ref<const std::string&>(), state.config_checksum, 16))
    return fail(Fault::invalid, "its body is not the JSON that lbd writes");
  state.base = base->get<std::string>();
  if (state.base.find('/') != std::string::npos) return fail(Fault::invalid, "its base is not the name of a file");
  for (const auto& [name, value] : services->items()) {
    auto service = service_from(name, value);
    if (!service) return tl::unexpected(std::move(service.error()));
    state.services.emplace(name, std::make_shared<const model::Service>(*std::move(service)));
  }
  for (const auto& name : *tombstones) {
    if (!name.is_string()) return fail(Fault::invalid, "a tombstone is not a service's name");
    state.tombstones.insert(name.get<std::string>());
  }
  return state;
}

}  // namespace

u64 checksum(std::string_view text) { return XXH64(text.data(), text.size(), 0); }

Result<State> StateFile::load() const {
  auto text = read_file(path_);
  if (!text) return tl::unexpected(std::move(text.error()));
  if (!*text) return State{};
  auto state = body_of(**text).and_then(state_from);
  if (state) return state;
  return fail(Fault::invalid,
              "the state file {} cannot be used: {}; restore it from a backup, or move it away to start from the "
              "configuration file alone (changes made with lbctl are then lost)",
              path_, state.error().message);
}

Result<> StateFile::save(const State& state) {
  std::map<std::string, Text> texts;
  std::string body = fmt::format("{{\"base\":{},\"config_checksum\":\"{:016x}\",\n\"services\":{{",
                                 nlohmann::json(state.base).dump(), state.config_checksum);
  std::string_view separator = "\n";
  for (const auto& [name, service] : state.services) {
    auto old = texts_.extract(name);
    const bool is_known = !old.empty() && old.mapped().service == service;
    const Text& text =
        texts.insert_or_assign(name, is_known ? std::move(old.mapped()) : Text{service, service_json(*service)})
            .first->second;
    body += fmt::format("{}{}:{}", std::exchange(separator, ",\n"), nlohmann::json(name).dump(), text.json);
  }
  texts_ = std::move(texts);
  body += fmt::format("}},\n\"tombstones\":{}}}\n", nlohmann::json(state.tombstones).dump());
  return write_file(path_, fmt::format("{}{} {:016x} {}\n{}", magic, version, checksum(body), body.size(), body), 0600);
}

}  // namespace weir::store

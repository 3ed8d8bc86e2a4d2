// SPDX-License-Identifier: Apache-2.0
#include "control/store/state_json.hpp"

#include <limits>
#include <optional>

#include "control/model/text.hpp"

namespace weir::store {
namespace {

using nlohmann::json;

/// Takes fields out of one object; the first that is absent or wrong is remembered.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) error_ = fmt::format("{} is not an object", where_);
  }

  std::string text(const char* key) {
    const json* value = find(key);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    wrong(key);
    return "";
  }

  u64 number_up_to(const char* key, u64 most) {
    const json* value = find(key);
    if (value != nullptr && value->is_number_unsigned() && value->get<u64>() <= most) return value->get<u64>();
    wrong(key);
    return 0;
  }
  u32 number(const char* key) { return static_cast<u32>(number_up_to(key, std::numeric_limits<u32>::max())); }

  bool flag(const char* key) {
    const json* value = find(key);
    if (value != nullptr && value->is_boolean()) return value->get<bool>();
    wrong(key);
    return false;
  }

  json array(const char* key) {
    const json* value = find(key);
    if (value != nullptr && value->is_array()) return *value;
    wrong(key);
    return json::array();
  }

  template <class Parse>
  auto parsed(const char* key, Parse parse) {
    auto value = parse(text(key));
    if (!value) wrong(key);
    return value ? *value : typename decltype(value)::value_type{};
  }

  // The same for fields that files of earlier versions do not have.
  u32 number(const char* key, u32 if_absent) { return find(key) == nullptr ? if_absent : number(key); }
  template <class Parse, class Value>
  Value parsed(const char* key, Parse parse, Value if_absent) {
    return find(key) == nullptr ? if_absent : parsed(key, parse);
  }

  [[nodiscard]] const std::optional<std::string>& error() const { return error_; }

 private:
  const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void wrong(const char* key) {
    if (!error_) error_ = fmt::format("{} has no valid \"{}\"", where_, key);
  }

  const json& object_;
  std::string where_;
  std::optional<std::string> error_;
};

// The structured bindings below stop compiling when a field is added, so that none is lost on the way to the disk.

json drain_json(const model::Drain& drain) {
  const auto& [started, deadline, then_remove, force_after, watch] = drain;
  return {{"started", started},
          {"deadline_seconds", deadline},
          {"then_remove", then_remove},
          {"force_after", force_after},
          {"watch_seconds", watch}};
}

Result<model::Drain> drain_from(const json& object, const std::string& where) {
  Fields fields(object, where);
  model::Drain drain;
  drain.started = fields.number_up_to("started", std::numeric_limits<u64>::max());
  drain.deadline = fields.number("deadline_seconds");
  drain.then_remove = fields.flag("then_remove");
  drain.force_after = fields.flag("force_after");
  drain.watch = fields.number("watch_seconds");
  if (fields.error()) return fail(Fault::invalid, "{}", *fields.error());
  return drain;
}

}  // namespace

std::string service_json(const model::Service& service) {
  const auto& [name, vip, protocol, mode, hash, rows, mss, track, on_remove, settle, idle, idle_closing, backends] =
      service;
  json list = json::array();
  for (const model::Backend& backend : backends) {
    const auto& [backend_name, endpoint, weight, admin, drain] = backend;
    list.push_back({{"name", backend_name},
                    {"address", model::to_text(endpoint)},
                    {"weight", weight},
                    {"admin", model::to_text(admin)}});
    if (drain) list.back()["drain"] = drain_json(*drain);
  }
  return json{{"vip", model::vip_text(service)},
              {"mode", model::to_text(mode)},
              {"hash", model::to_text(hash)},
              {"rows", rows},
              {"mss", mss},
              {"track", model::to_text(track)},
              {"on_remove", model::to_text(on_remove)},
              {"settle_seconds", settle},
              {"idle_seconds", idle},
              {"idle_closing_seconds", idle_closing},
              {"backends", std::move(list)}}
      .dump();
}

Result<model::Service> service_from(const std::string& name, const json& json) {
  Fields fields(json, fmt::format("service \"{}\"", name));
  model::Service service;
  service.name = name;
  const model::Vip vip = fields.parsed("vip", model::parse_vip);
  service.vip = vip.endpoint;
  service.protocol = vip.protocol;
  service.mode = fields.parsed("mode", model::parse_mode);
  service.hash = fields.parsed("hash", model::parse_hash);
  service.rows = fields.number("rows");
  service.mss = fields.number("mss", 0);
  service.track = fields.parsed("track", model::parse_track, service.track);
  service.on_remove = fields.parsed("on_remove", model::parse_on_remove, model::default_on_remove(service.protocol));
  service.settle = fields.number("settle_seconds", service.settle);
  service.idle = fields.number("idle_seconds", model::default_idle(service.protocol));
  service.idle_closing = fields.number("idle_closing_seconds", service.idle_closing);
  for (const auto& item : fields.array("backends")) {
    Fields each(item, fmt::format("a backend of service \"{}\"", name));
    model::Backend backend;
    backend.name = each.text("name");
    backend.endpoint = each.parsed("address", model::parse_endpoint);
    backend.weight = each.number("weight");
    backend.admin = each.parsed("admin", model::parse_admin);
    if (const auto drain = item.is_object() ? item.find("drain") : item.end(); drain != item.end()) {
      auto read = drain_from(*drain, fmt::format("the drain of {}/{}", name, backend.name));
      if (!read) return tl::unexpected(std::move(read.error()));
      backend.drain = *read;
    }
    if (each.error()) return fail(Fault::invalid, "{}", *each.error());
    service.backends.push_back(std::move(backend));
  }
  if (fields.error()) return fail(Fault::invalid, "{}", *fields.error());
  return service;
}

}  // namespace weir::store

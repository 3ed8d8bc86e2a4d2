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

  u32 number(const char* key) {
    const json* value = find(key);
    if (value != nullptr && value->is_number_unsigned() && value->get<u64>() <= std::numeric_limits<u32>::max())
      return value->get<u32>();
    wrong(key);
    return 0;
  }

  /// The same for a field that files of earlier versions do not have.
  u32 number(const char* key, u32 if_absent) { return find(key) == nullptr ? if_absent : number(key); }

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

}  // namespace

// The structured bindings below stop compiling when a field is added, so that none is lost on the way to the disk.

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
  }
  return json{{"vip", model::vip_text(service)},
              {"mode", model::to_text(mode)},
              {"hash", model::to_text(hash)},
              {"rows", rows},
              {"mss", mss},
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
  for (const auto& item : fields.array("backends")) {
    Fields each(item, fmt::format("a backend of service \"{}\"", name));
    model::Backend backend;
    backend.name = each.text("name");
    backend.endpoint = each.parsed("address", model::parse_endpoint);
    backend.weight = each.number("weight");
    backend.admin = each.parsed("admin", model::parse_admin);
    if (each.error()) return fail(Fault::invalid, "{}", *each.error());
    service.backends.push_back(std::move(backend));
  }
  if (fields.error()) return fail(Fault::invalid, "{}", *fields.error());
  return service;
}

}  // namespace weir::store

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <memory>
#include <set>

#include "control/config/config.hpp"
#include "control/config/reader.hpp"
#include "control/model/claims.hpp"
#include "control/model/rules.hpp"
#include "control/model/text.hpp"

namespace weir::config {
namespace {

using model::Field;

constexpr u32 most_icmp_rate = 1'000'000;

Result<model::Attach> parse_attach(std::string_view text) {
  if (text == "automatic") return model::Attach::automatic;
  if (text == "native") return model::Attach::native;
  if (text == "generic") return model::Attach::generic;
  return fail(Fault::invalid, "\"{}\" is not known; write automatic, native or generic", text);
}

Result<std::string> parse_listen(std::string_view text) {
  auto endpoint = model::parse_endpoint(text);
  if (!endpoint) return tl::unexpected(std::move(endpoint.error()));
  if (endpoint->port == 0) return fail(Fault::invalid, "\"{}\" has port 0; write 1 to 65535", text);
  return std::string(text);
}

template <bool v4>
Result<model::Prefix> parse_source(std::string_view text) {
  auto prefix = model::parse_prefix(text);
  if (!prefix) return prefix;
  if (const std::string why = model::tunnel_source_fault(*prefix, v4); !why.empty())
    return fail(Fault::invalid, "{}", why);
  return prefix;
}

void read_interfaces(Reader& reader, const toml::table& root, model::Settings& settings) {
  const toml::node* node = root.get("interfaces");
  if (node == nullptr) return reader.missing(root, "interfaces", "the file");
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty())
    return reader.complain(place_of(*node), "interfaces is not a list of names; write for example [\"eth0\"]");
  constexpr std::size_t longest = 15;  // IFNAMSIZ - 1
  for (const toml::node& item : *array) {
    const std::string name = item.value_exact<std::string>().value_or("");
    if (name.empty() || name.size() > longest || name.find_first_of(std::string_view("/: \t\n\0", 6)) != name.npos)
      reader.complain(place_of(item), "this is not the name of an interface (1 to 15 characters); ip link lists them");
    if (std::count(settings.interfaces.begin(), settings.interfaces.end(), name) != 0)
      reader.complain(place_of(item), fmt::format("interface \"{}\" is there twice; remove one", name));
    settings.interfaces.push_back(name);
  }
}

model::Settings read_settings(Reader& reader, const toml::table& root) {
  model::Settings settings;
  read_interfaces(reader, root, settings);
  settings.attach = reader.parsed(root, "attach", parse_attach).value_or(settings.attach);
  settings.seed = reader.parsed(root, "seed", model::parse_seed);
  settings.metrics_listen = reader.parsed(root, "metrics-listen", parse_listen).value_or("");
  if (const toml::table* limits = reader.table(root, "limits")) {
    reader.only(*limits, {"services", "backends", "rows", "flows", "embryos"});
    auto& [services, backends, rows, flows, embryos] = settings.limits;
    services = reader.integer(*limits, "services", 1, 1U << 16).value_or(services);
    backends = reader.integer(*limits, "backends", 1, 1U << 20).value_or(backends);
    rows = reader.integer(*limits, "rows", 1U << 8, 1U << 26).value_or(rows);
    flows = reader.integer(*limits, "flows", 1U << 10, 1U << 24).value_or(flows);
    embryos = reader.integer(*limits, "embryos", 1U << 8, 1U << 22).value_or(embryos);
  }
  settings.icmp_rate = reader.integer(root, "icmp-rate", 0, most_icmp_rate).value_or(settings.icmp_rate);
  if (const toml::table* tunnel = reader.table(root, "tunnel")) {
    reader.only(*tunnel, {"source4", "source6", "gue-port"});
    settings.tunnel.source4 = reader.parsed(*tunnel, "source4", parse_source<true>);
    settings.tunnel.source6 = reader.parsed(*tunnel, "source6", parse_source<false>);
    settings.tunnel.gue_port =
        static_cast<u16>(reader.integer(*tunnel, "gue-port", 1, 65535).value_or(settings.tunnel.gue_port));
  }
  return settings;
}

Result<bool> parse_then(std::string_view text) {
  if (text == "remove") return true;
  return fail(Fault::invalid, "\"{}\" is not known; write remove, or leave it out", text);
}

model::Drain read_drain(Reader& reader, const toml::table& table) {
  reader.only(table, {"started", "deadline", "then", "force-after", "watch"});
  model::Drain drain;
  drain.started = reader.integer(table, "started", 0, std::numeric_limits<u32>::max()).value_or(0);
  drain.deadline = reader.duration(table, "deadline").value_or(drain.deadline);
  drain.then_remove = reader.parsed(table, "then", parse_then).value_or(drain.then_remove);
  drain.force_after = reader.flag(table, "force-after").value_or(drain.force_after);
  drain.watch = reader.duration(table, "watch").value_or(drain.watch);
  return drain;
}

model::Backend read_backend(Reader& reader, const toml::table& table) {
  reader.only(table, {"name", "address", "weight", "admin", "drain"});
  model::Backend backend;
  if (!table.contains("address")) reader.missing(table, "address", "backend");
  backend.endpoint = reader.parsed(table, "address", model::parse_endpoint).value_or(backend.endpoint);
  backend.weight = reader.integer(table, "weight", 0, model::max_weight).value_or(backend.weight);
  backend.admin = reader.parsed(table, "admin", model::parse_admin).value_or(backend.admin);
  if (const toml::table* drain = reader.table(table, "drain")) backend.drain = read_drain(reader, *drain);
  backend.name = reader.text(table, "name").value_or(model::backend_name(backend.endpoint));
  return backend;
}

model::Service read_service(Reader& reader, const toml::table& table) {
  reader.only(table, {"name", "vip", "mode", "hash", "rows", "mss", "track", "on-remove", "settle", "idle",
                      "idle-closing", "backend"});
  for (const std::string_view key : {"name", "vip", "mode"})
    if (!table.contains(key)) reader.missing(table, key, "service");
  model::Service service;
  service.name = reader.text(table, "name").value_or("");
  const model::Vip vip = reader.parsed(table, "vip", model::parse_vip).value_or(model::Vip{});
  service.vip = vip.endpoint;
  service.protocol = vip.protocol;
  service.mode = reader.parsed(table, "mode", model::parse_mode).value_or(service.mode);
  service.hash = reader.parsed(table, "hash", model::parse_hash).value_or(service.hash);
  service.rows = reader.integer(table, "rows", 1U << 8, 1U << 20).value_or(service.rows);
  service.mss = reader.integer(table, "mss", 0, 65495).value_or(service.mss);
  service.track = reader.parsed(table, "track", model::parse_track).value_or(service.track);
  service.on_remove =
      reader.parsed(table, "on-remove", model::parse_on_remove).value_or(model::default_on_remove(service.protocol));
  service.settle = reader.duration(table, "settle").value_or(service.settle);
  service.idle = reader.duration(table, "idle").value_or(model::default_idle(service.protocol));
  service.idle_closing = reader.duration(table, "idle-closing").value_or(service.idle_closing);
  for (const toml::table* backend : reader.tables(table, "backend"))
    service.backends.push_back(read_backend(reader, *backend));
  return service;
}

/// The key that holds what a rule is about; "" for the whole of a service or backend.
std::string_view key_of(Field field) {
  switch (field) {
    case Field::whole:
      return "";
    case Field::name:
      return "name";
    case Field::vip:
      return "vip";
    case Field::rows:
      return "rows";
    case Field::mss:
      return "mss";
    case Field::settle:
      return "settle";
    case Field::idle:
      return "idle";
    case Field::idle_closing:
      return "idle-closing";
    case Field::address:
      return "address";
    case Field::weight:
      return "weight";
    case Field::drain:
      return "drain";
  }
  return "";
}

/// Where the text says what `breach` is about: the key if it is written out, else the heading.
Place place_of(const model::Breach& breach, const toml::table& service) {
  const toml::table* table = &service;
  if (breach.backend) table = service.get_as<toml::array>("backend")->get_as<toml::table>(*breach.backend);
  const std::string_view key = key_of(breach.field);
  const toml::node* node = key.empty() ? nullptr : table->get(key);
  return config::place_of(node != nullptr ? *node : *table);
}

/// The model's rules over services that were read without a complaint.
void check(Reader& reader, const Configuration& configuration, const std::vector<const toml::table*>& tables) {
  model::Claims claims;
  model::Usage usage;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < configuration.services.size() && !reader.failed(); ++i) {
    const model::Service& service = configuration.services[i];
    const toml::table& table = *tables[i];
    const auto complain = [&](const model::Breach& breach) {
      reader.complain(place_of(breach, table), breach.error.message);
    };
    if (auto breach = model::breach_of(service, configuration.settings.tunnel)) complain(*breach);
    if (!names.insert(service.name).second)
      reader.complain(config::place_of(*table.get("name")),
                      fmt::format("there are two services \"{}\"; rename one", service.name));
    // An aliasing pointer: the step only looks at the service, the configuration owns it.
    const model::Step step{service.name, nullptr, {std::shared_ptr<void>(), &service}};
    if (auto breach = claims.conflict({&step, 1})) complain(*breach);
    claims.apply({&step, 1});
    usage += model::usage_of(&service);
    if (auto error = model::over_limit(usage, configuration.settings.limits))
      reader.complain(config::place_of(table), error->message);
  }
}

}  // namespace

Result<Configuration> parse(std::string_view text, const std::string& file_name) {
  Reader reader;
  try {
    const toml::table root = toml::parse(text);
    reader.only(root, {"interfaces", "attach", "seed", "icmp-rate", "metrics-listen", "limits", "tunnel", "service"});
    Configuration configuration;
    configuration.settings = read_settings(reader, root);
    const std::vector<const toml::table*> tables = reader.tables(root, "service");
    for (const toml::table* table : tables) configuration.services.push_back(read_service(reader, *table));
    if (!reader.failed()) check(reader, configuration, tables);
    if (!reader.failed()) return configuration;
  } catch (const toml::parse_error& error) {  // Debian's libtomlplusplus is built with exceptions
    reader.complain({error.source().begin.line, error.source().begin.column}, std::string(error.description()));
  }
  return tl::unexpected(reader.error(file_name));
}

}  // namespace weir::config

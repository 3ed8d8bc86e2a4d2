// SPDX-License-Identifier: Apache-2.0
// A world from TOML.
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "control/config/reader.hpp"
#include "control/model/text.hpp"
#include "tools/lbsim/world.hpp"

namespace weir::lbsim {
namespace {

using config::Reader;

Result<MacBits> parse_mac(std::string_view text) {
  MacBits mac = 0;
  for (u32 i = 0; i < 6; ++i) {
    u32 byte = 0;
    const char* at = text.data() + std::min<std::size_t>(i * 3, text.size());
    const char* stop = text.data() + std::min<std::size_t>(i * 3 + 2, text.size());
    const auto [end, error] = std::from_chars(at, stop, byte, 16);
    if (text.size() != 17 || error != std::errc{} || end != stop || (i < 5 && *end != ':'))
      return fail(Fault::invalid, "\"{}\" is not a MAC address; write it as 02:00:00:00:00:01", text);
    mac |= u64{byte} << (8 * i);
  }
  return mac;
}

Result<model::Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto address = model::parse_ip(text.substr(0, slash));
  if (!address) return tl::unexpected(std::move(address.error()));
  const u32 longest = is_v4(*address) ? 32 : 128;
  u32 length = longest;
  if (slash != text.npos) {
    const auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), length);
    if (error != std::errc{} || end != text.data() + text.size() || length > longest)
      return fail(Fault::invalid, "\"{}\" is not a prefix; its length is a number from 0 to {}", text, longest);
  }
  return model::Prefix{*address, length};
}

/// Reads what the tables of a world have in common, and the rules between them.
class WorldReader {
 public:
  WorldReader(const toml::table& root, const model::Settings& settings) : root_(root), settings_(settings) {}

  Result<World> read(const std::string& file_name) {
    reader_.only(root_, {"interface", "neighbor", "route", "local", "headroom", "answers", "forwarding", "tamper",
                         "rows", "backend", "flow"});
    world_.headroom = reader_.integer(root_, "headroom", 0, 4096).value_or(world_.headroom);
    world_.answers = reader_.integer(root_, "answers", 0, 1U << 30);
    world_.forwarding = boolean(root_, "forwarding").value_or(true);
    for (const toml::table* table : reader_.tables(root_, "interface")) read_interface(*table);
    for (const toml::table* table : reader_.tables(root_, "neighbor")) read_neighbor(*table);
    for (const toml::table* table : reader_.tables(root_, "route")) read_route(*table);
    for (const toml::table* table : reader_.tables(root_, "local")) {
      reader_.only(*table, {"address"});
      if (!table->contains("address")) reader_.missing(*table, "address", "local");
      if (const auto address = reader_.parsed(*table, "address", model::parse_ip)) world_.local.push_back(*address);
    }
    read_tamper();
    for (const toml::table* table : reader_.tables(root_, "rows")) read_rows(*table);
    for (const toml::table* table : reader_.tables(root_, "backend")) read_backend(*table);
    for (const toml::table* table : reader_.tables(root_, "flow")) read_flow(*table);
    // Last, for it has no place in the text: whatever else is wrong may be the reason.
    if (!reader_.failed()) {
      for (const std::string& name : settings_.interfaces)
        if (!world_.named(name))
          reader_.complain({1, 1}, fmt::format("the configuration's interface \"{}\" is not in the world; add an "
                                               "[[interface]] of that name",
                                               name));
    }
    if (reader_.failed()) return tl::unexpected(reader_.error(file_name));
    return std::move(world_);
  }

 private:
  std::optional<bool> boolean(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (!node) return {};
    if (const auto value = node->value_exact<bool>()) return *value;
    reader_.complain(config::place_of(*node), fmt::format("{} is neither true nor false", key));
    return {};
  }

  std::size_t interface_of(const toml::table& table, std::string_view key) {
    if (!table.contains(key)) reader_.missing(table, key, "entry");
    const std::string name = reader_.text(table, key).value_or("");
    if (const Interface* found = world_.named(name)) return static_cast<std::size_t>(found - world_.interfaces.data());
    if (table.contains(key))
      reader_.complain(config::place_of(*table.get(key)),
                       fmt::format("{}: there is no [[interface]] \"{}\" in this world", key, name));
    return 0;
  }

  u32 mtu_of(const toml::table& table, u32 otherwise) {
    return reader_.integer(table, "mtu", 68, 65535).value_or(otherwise);
  }

  void read_interface(const toml::table& table) {
    reader_.only(table, {"name", "mac", "mtu"});
    for (const std::string_view key : {"name", "mac"})
      if (!table.contains(key)) reader_.missing(table, key, "interface");
    Interface interface;
    interface.name = reader_.text(table, "name").value_or("");
    if (interface.name.empty() || interface.name.size() >= IFNAMSIZ || interface.name == "lo" ||
        interface.name.find_first_of("/: \t\n") != std::string::npos || world_.named(interface.name))
      reader_.complain(config::place_of(table),
                       fmt::format("\"{}\" is no name for an interface, or is there twice", interface.name));
    interface.mac = reader_.parsed(table, "mac", parse_mac).value_or(0);
    interface.mtu = mtu_of(table, interface.mtu);
    interface.ifindex = 10 + static_cast<u32>(world_.interfaces.size());
    const auto& names = settings_.interfaces;
    interface.attached = std::find(names.begin(), names.end(), interface.name) != names.end();
    world_.interfaces.push_back(std::move(interface));
  }

  void read_neighbor(const toml::table& table) {
    reader_.only(table, {"address", "mac", "interface", "mtu", "resolved"});
    Neighbor neighbor;
    neighbor.resolved = boolean(table, "resolved").value_or(true);
    if (!table.contains("address")) reader_.missing(table, "address", "neighbor");
    if (neighbor.resolved && !table.contains("mac")) reader_.missing(table, "mac", "resolved neighbor");
    neighbor.address = reader_.parsed(table, "address", model::parse_ip).value_or(Ip{});
    neighbor.mac = reader_.parsed(table, "mac", parse_mac).value_or(0);
    neighbor.interface = interface_of(table, "interface");
    neighbor.mtu = mtu_of(table, 0);
    world_.neighbors.push_back(neighbor);
  }

  void read_route(const toml::table& table) {
    reader_.only(table, {"prefix", "via", "dev", "type", "mtu"});
    PrefixRoute route;
    if (!table.contains("prefix")) reader_.missing(table, "prefix", "route");
    route.prefix = reader_.parsed(table, "prefix", parse_prefix).value_or(model::Prefix{});
    const std::string type = reader_.text(table, "type").value_or("unicast");
    if (type != "unicast" && type != "unreachable")
      reader_.complain(config::place_of(*table.get("type")),
                       fmt::format("type: \"{}\" is not known; write unicast or unreachable", type));
    route.unreachable = type == "unreachable";
    route.gateway = reader_.parsed(table, "via", model::parse_ip);
    route.mtu = mtu_of(table, 0);
    if (!route.unreachable)
      route.interface =
          table.contains("dev") || !route.gateway ? interface_of(table, "dev") : interface_to(table, *route.gateway);
    world_.routes.push_back(route);
  }

  /// Where the gateway is a neighbour; a route without `dev` goes there.
  std::size_t interface_to(const toml::table& table, const Ip& gateway) {
    for (const Neighbor& neighbor : world_.neighbors)
      if (neighbor.address == gateway) return neighbor.interface;
    reader_.complain(
        config::place_of(*table.get("via")),
        fmt::format("the gateway {} is no [[neighbor]]; add one, or say `dev` in its routes", model::to_text(gateway)));
    return 0;
  }

  /// The value of `key` among `names`, whose order is `T`'s.
  template <class T>
  T choice(const toml::table& table, std::string_view key, std::initializer_list<std::string_view> names, T otherwise) {
    const auto text = reader_.text(table, key);
    if (!text) return otherwise;
    const auto found = std::find(names.begin(), names.end(), *text);
    if (found != names.end()) return static_cast<T>(found - names.begin());
    reader_.complain(config::place_of(*table.get(key)),
                     fmt::format("{}: \"{}\" is not known; write {}", key, *text, fmt::join(names, ", ")));
    return otherwise;
  }

  std::string required(const toml::table& table, std::string_view key, std::string_view what) {
    if (!table.contains(key)) reader_.missing(table, key, what);
    return reader_.text(table, key).value_or("");
  }

  void read_rows(const toml::table& table) {
    reader_.only(table, {"service", "state", "owner", "stable", "track", "idle", "idle-closing"});
    RowSetting rows;
    rows.service = required(table, "service", "[[rows]]");
    rows.state = choice(table, "state", {"settled", "moving", "pinned"}, rows.state);
    rows.owner = reader_.text(table, "owner").value_or("");
    rows.stable = reader_.text(table, "stable").value_or("");
    rows.track_all = choice(table, "track", {"changes", "all"}, 0) == 1;
    rows.idle = reader_.integer(table, "idle", 1, 1U << 28).value_or(rows.idle);
    rows.idle_closing = reader_.integer(table, "idle-closing", 1, 1U << 28).value_or(rows.idle_closing);
    world_.rows.push_back(std::move(rows));
  }

  void read_backend(const toml::table& table) {
    reader_.only(table, {"name", "state"});
    world_.backends.push_back({required(table, "name", "[[backend]]"),
                               choice(table, "state", {"open", "draining", "dead", "resetting"}, BackendState::open)});
  }

  void read_flow(const toml::table& table) {
    reader_.only(table, {"service", "source", "port", "backend", "state", "flags", "idle"});
    FlowSetting flow;
    flow.service = required(table, "service", "[[flow]]");
    flow.backend = required(table, "backend", "[[flow]]");
    if (!table.contains("source")) reader_.missing(table, "source", "[[flow]]");
    flow.source = reader_.parsed(table, "source", model::parse_endpoint).value_or(model::Endpoint{});
    flow.port = static_cast<u16>(reader_.integer(table, "port", 1, 65535).value_or(0));
    flow.kind = choice(table, "state", {"new", "established"}, 1) == 0 ? FlowKind::embryo : FlowKind::live;
    flow.idle = reader_.integer(table, "idle", 0, 1U << 28).value_or(0);
    std::istringstream flags(reader_.text(table, "flags").value_or(""));
    for (std::string flag; flags >> flag;) {
      const auto found = std::find(flow_flag_names.begin(), flow_flag_names.end(), flag);
      if (found == flow_flag_names.end())
        reader_.complain(config::place_of(*table.get("flags")),
                         fmt::format("flags: \"{}\" is not known; write {}", flag, fmt::join(flow_flag_names, ", ")));
      else
        flow.flags |= u64{1} << (flow_flags_shift + static_cast<u32>(found - flow_flag_names.begin()));
    }
    world_.flows.push_back(std::move(flow));
  }

  void read_tamper() {
    const toml::node* node = root_.get("tamper");
    if (!node) return;
    if (const toml::array* array = node->as_array()) {
      for (const toml::node& item : *array) world_.tamper.push_back(item.value_exact<std::string>().value_or(""));
    } else {
      reader_.complain(config::place_of(*node), "tamper is not a list of lines; write for example [\"rows web 9999\"]");
    }
  }

  const toml::table& root_;
  const model::Settings& settings_;
  Reader reader_;
  World world_;
};

}  // namespace

Result<World> read_world(std::string_view text, const std::string& file_name, const model::Settings& settings) {
  try {
    const toml::table root = toml::parse(text);
    return WorldReader(root, settings).read(file_name);
  } catch (const toml::parse_error& error) {
    Reader reader;
    reader.complain({error.source().begin.line, error.source().begin.column}, std::string(error.description()));
    return tl::unexpected(reader.error(file_name));
  }
}

}  // namespace weir::lbsim

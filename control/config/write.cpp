// SPDX-License-Identifier: Apache-2.0
#include "control/config/config.hpp"
#include "control/model/text.hpp"

namespace weir::config {
namespace {

/// A TOML basic string: quotes, backslashes and control characters escaped.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\u{:04x}", byte);
    else
      out += c;
  }
  return out + '"';
}

std::string_view attach_text(model::Attach attach) {
  switch (attach) {
    case model::Attach::automatic:
      return "automatic";
    case model::Attach::native:
      return "native";
    case model::Attach::generic:
      return "generic";
  }
  return "automatic";
}

// The structured bindings below stop compiling when a field is added, so that none is lost on the way to the text.

std::string settings_text(const model::Settings& settings) {
  const auto& [interfaces, attach, seed, limits, tunnel, icmp_rate, metrics_listen] = settings;
  std::string names;
  for (const std::string& name : interfaces) names += (names.empty() ? "" : ", ") + quoted(name);
  std::string out = fmt::format("interfaces = [{}]\nattach = {}\n", names, quoted(attach_text(attach)));
  if (seed) out += fmt::format("seed = \"{}\"\n", model::to_text(*seed));
  out += fmt::format("icmp-rate = {}\n", icmp_rate);
  if (!metrics_listen.empty()) out += fmt::format("metrics-listen = {}\n", quoted(metrics_listen));
  const auto& [services, backends, rows, flows, embryos] = limits;
  out += fmt::format("\n[limits]\nservices = {}\nbackends = {}\nrows = {}\nflows = {}\nembryos = {}\n", services,
                     backends, rows, flows, embryos);
  const auto& [source4, source6, gue_port] = tunnel;
  out += "\n[tunnel]\n";
  if (source4) out += fmt::format("source4 = \"{}\"\n", model::to_text(*source4));
  if (source6) out += fmt::format("source6 = \"{}\"\n", model::to_text(*source6));
  return out + fmt::format("gue-port = {}\n", gue_port);
}

std::string drain_text(const model::Drain& drain) {
  const auto& [started, deadline, then_remove, force_after, watch] = drain;
  std::string out = fmt::format("{{ started = {}", started);
  if (deadline != 0) out += fmt::format(", deadline = \"{}\"", model::duration_text(deadline));
  if (then_remove) out += ", then = \"remove\"";
  if (force_after) out += ", force-after = true";
  return out + fmt::format(", watch = \"{}\" }}", model::duration_text(watch));
}

std::string backend_text(const model::Backend& backend) {
  const auto& [name, endpoint, weight, admin, drain] = backend;
  std::string out =
      fmt::format("\n  [[service.backend]]\n  name = {}\n  address = \"{}\"\n  weight = {}\n  admin = \"{}\"\n",
                  quoted(name), model::to_text(endpoint), weight, model::to_text(admin));
  if (drain) out += "  drain = " + drain_text(*drain) + '\n';
  return out;
}

std::string service_text(const model::Service& service) {
  const auto& [name, vip, protocol, mode, hash, rows, mss, track, on_remove, settle, idle, idle_closing, backends] =
      service;
  std::string out =
      fmt::format("\n[[service]]\nname = {}\nvip = \"{}\"\nmode = \"{}\"\nhash = \"{}\"\nrows = {}\n", quoted(name),
                  model::vip_text(service), model::to_text(mode), model::to_text(hash), rows);
  if (mss != 0) out += fmt::format("mss = {}\n", mss);
  out += fmt::format("track = \"{}\"\non-remove = \"{}\"\nsettle = \"{}\"\nidle = \"{}\"\nidle-closing = \"{}\"\n",
                     model::to_text(track), model::to_text(on_remove), model::duration_text(settle),
                     model::duration_text(idle), model::duration_text(idle_closing));
  for (const model::Backend& backend : backends) out += backend_text(backend);
  return out;
}

}  // namespace

std::string write(const Configuration& configuration) {
  std::string out = settings_text(configuration.settings);
  for (const model::Service& service : configuration.services) out += service_text(service);
  return out;
}

}  // namespace weir::config

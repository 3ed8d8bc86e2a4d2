// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "control/model/text.hpp"
#include "tools/lbctl/table.hpp"
#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string name, vip, mode, hash, rows, mss;
  std::string track, on_remove, settle, idle, idle_closing;
  Safety safety;
  Form form;
};
using Shared = std::shared_ptr<Options>;

std::string sum(const json& backends, const char* field) {
  unsigned long long total = 0;
  for (const json& backend : backends) total += backend.value(field, 0ULL);
  return std::to_string(total);
}

/// One service with what a packet to its backends may measure: MTU in bytes of IP, MSS in bytes of TCP payload.
std::string one_service_table(const json& service, bool headers) {
  using enum Align;
  Table table{{"NAME"},        {"VIP"},        {"MODE"},       {"HASH"},           {"BACKENDS", right},
              {"ROWS", right}, {"MTU", right}, {"MSS", right}, {"PACKETS", right}, {"BYTES", right},
              {"CONNS", right}};
  const json backends = service.value("backends", json::array());
  table.add({cell(service, "name"), cell(service, "vip"), cell(service, "mode"), cell(service, "hash"),
             std::to_string(backends.size()), cell(service, "rows"), cell(service, "mtu"),
             cell(service, "effective_mss"), sum(backends, "packets"), sum(backends, "bytes"),
             sum(backends, "connections")});
  return table.text(headers);
}

/// How a service treats its flows.
std::string flows_table(const json& service, bool headers) {
  using enum Align;
  const auto duration = [&service](const char* field) {
    const auto value = service.find(field);
    return value == service.end() ? "" : model::duration_text(value->get<unsigned long long>());
  };
  Table table{{"TRACK"}, {"ON-REMOVE"}, {"SETTLE", right}, {"IDLE", right}, {"IDLE-CLOSING", right}};
  table.add({cell(service, "track"), cell(service, "on_remove"), duration("settle_seconds"), duration("idle_seconds"),
             duration("idle_closing_seconds")});
  return table.text(headers);
}

std::string service_table(const json& services, bool headers) {
  using enum Align;
  Table table{{"NAME"},           {"VIP"},          {"MODE"},        {"HASH"}, {"BACKENDS", right}, {"ROWS", right},
              {"PACKETS", right}, {"BYTES", right}, {"CONNS", right}};
  for (const json& s : services) {
    const json backends = s.value("backends", json::array());
    table.add({cell(s, "name"), cell(s, "vip"), cell(s, "mode"), cell(s, "hash"), std::to_string(backends.size()),
               cell(s, "rows"), sum(backends, "packets"), sum(backends, "bytes"), sum(backends, "connections")});
  }
  return table.text(headers);
}

CLI::App* verb_on(CLI::App& noun, const Shared& options, const std::string& verb, const std::string& what,
                  const std::string& example) {
  CLI::App* app = add_verb(noun, verb, what, example);
  app->add_option("NAME", options->name, "Name of the service")->required()->check(not_empty);
  return app;
}

void add_tuning(CLI::App& verb, Options& options) {
  verb.add_option("--hash", options.hash, "What picks the backend: 5tuple, or source (client address)");
  verb.add_option("--rows", options.rows, "Rows of the forwarding table: a power of two");
  verb.add_option("--mss", options.mss, "Greatest MSS that a SYN may announce: 536..65495, or 0 to leave it alone");
  verb.add_option("--track", options.track,
                  "Flows to remember: changes (those of rows that change), or all, which makes every count complete");
  verb.add_option("--on-remove", options.on_remove, "A removed backend's flows: keep them, rehash or reset");
  verb.add_option("--settle", options.settle, "How long a changed row keeps its old flows, for example 15m")
      ->check(duration_fault);
  verb.add_option("--idle", options.idle, "Silence after which a remembered flow has ended, for example 3h")
      ->check(duration_fault);
  verb.add_option("--idle-closing", options.idle_closing, "The same after the first FIN or RST, for example 60s")
      ->check(duration_fault);
}

json tuning(const Options& options) {
  json body = json::object();
  if (!options.hash.empty()) body["hash"] = options.hash;
  if (!options.rows.empty()) body["rows"] = as_number(options.rows);
  if (!options.mss.empty()) body["mss"] = as_number(options.mss);
  if (!options.track.empty()) body["track"] = options.track;
  if (!options.on_remove.empty()) body["on_remove"] = options.on_remove;
  if (!options.settle.empty()) body["settle_seconds"] = seconds(options.settle);
  if (!options.idle.empty()) body["idle_seconds"] = seconds(options.idle);
  if (!options.idle_closing.empty()) body["idle_closing_seconds"] = seconds(options.idle_closing);
  return body;
}

}  // namespace

void add_service_verbs(CLI::App& app, Action& action) {
  CLI::App* noun =
      app.add_subcommand("service", "VIPs and how their packets reach the backends")->require_subcommand(1);
  const auto o = std::make_shared<Options>();

  CLI::App* add =
      verb_on(*noun, o, "add", "Add a service", "lbctl service add web --vip tcp:203.0.113.10:80 --mode nat");
  add->add_option("--vip", o->vip,
                  "PROTOCOL:ADDRESS:PORT, as tcp:203.0.113.10:80 or udp:[2001:db8::1]:53; port 0: every port")
      ->required();
  add->add_option("--mode", o->mode, "nat, l2dsr, ipip or gue")->required();
  add_tuning(*add, *o);
  add_safety(*add, o->safety);
  add->callback([o, &action] {
    action = [o](const Client& lbd) {
      json body = tuning(*o);
      body["vip"] = o->vip;
      body["mode"] = o->mode;
      return lbd.change("PUT", service_path(o->name) + o->safety.query_string(), body);
    };
  });

  CLI::App* set = verb_on(*noun, o, "set", "Change a service", "lbctl service set web --hash source");
  add_tuning(*set, *o);
  add_safety(*set, o->safety);
  set->callback([o, &action] {
    if (tuning(*o).empty())
      throw CLI::RequiredError("--hash, --rows, --mss, --track, --on-remove, --settle, --idle or --idle-closing");
    action = [o](const Client& lbd) {
      return lbd.change("PATCH", service_path(o->name) + o->safety.query_string(), tuning(*o));
    };
  });

  CLI::App* del = verb_on(*noun, o, "del", "Delete a service and its backends", "lbctl service del web --force");
  add_safety(*del, o->safety);
  del->callback([o, &action] {
    action = [o](const Client& lbd) { return lbd.change("DELETE", service_path(o->name) + o->safety.query_string()); };
  });

  CLI::App* list = add_verb(*noun, "list", "All services", "lbctl service list --no-headers | awk '{print $2}'");
  add_list_options(*list, o->form);
  list->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.get("/v1/services").map([&](const json& services) {
        return o->form.json() ? pretty(services) : service_table(services, !o->form.no_headers);
      });
    };
  });

  CLI::App* show = verb_on(*noun, o, "show", "One service and its backends", "lbctl service show web -o json");
  add_list_options(*show, o->form);
  show->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.get(service_path(o->name)).map([&](const json& service) {
        if (o->form.json()) return pretty(service);
        const json one = json::array({service});
        const bool headers = !o->form.no_headers;
        return one_service_table(service, headers) + "\n" + flows_table(service, headers) + "\n" +
               backend_table(one, headers);
      });
    };
  });
}

}  // namespace weir::lbctl

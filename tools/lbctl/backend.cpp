// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "tools/lbctl/table.hpp"
#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string service, address, name, weight;
  std::string object;  ///< SERVICE/NAME
  Safety safety;
  Form form;
};
using Shared = std::shared_ptr<Options>;

// A resolved hop by interface and MAC; otherwise the state is what an operator needs to know.
std::string next_hop(const json& backend) {
  const json hop = backend.value("next_hop", json::object());
  const std::string state = cell(hop, "state");
  return state == "resolved" ? cell(hop, "interface") + "/" + cell(hop, "mac") : state;
}

std::string backend_path(const std::string& service, const std::string& name) {
  return service_path(service) + "/backends/" + percent_encoded(name);
}

std::string object_fault(const std::string& object) {
  const std::size_t slash = object.find('/');
  if (slash != std::string::npos && slash > 0 && slash + 1 < object.size() &&
      object.find('/', slash + 1) == std::string::npos)
    return "";
  return fmt::format("\"{}\" does not name a backend; write SERVICE/NAME, for example web/b1", object);
}

std::string object_path(const std::string& object) {
  const std::size_t slash = object.find('/');
  return backend_path(object.substr(0, slash), object.substr(slash + 1));
}

CLI::App* verb_on_one(CLI::App& noun, const Shared& o, const std::string& verb, const std::string& what,
                      const std::string& example) {
  CLI::App* app = add_verb(noun, verb, what, example);
  app->add_option("SERVICE/NAME", o->object, "The backend, for example web/b1")->required()->check(object_fault);
  add_safety(*app, o->safety);
  return app;
}

void add_admin_verb(CLI::App& noun, const Shared& o, Action& action, const std::string& verb, const std::string& admin,
                    const std::string& what) {
  CLI::App* app = verb_on_one(noun, o, verb, what, "lbctl backend " + verb + " web/b1");
  app->callback([o, &action, admin] {
    action = [o, admin](const Client& lbd) {
      return lbd.change("PATCH", object_path(o->object) + o->safety.query_string(), {{"admin", admin}});
    };
  });
}

Outcome<std::string> list_backends(const Client& lbd, const Options& o) {
  const auto answer = lbd.get(o.service.empty() ? "/v1/services" : service_path(o.service));
  if (!answer) return tl::unexpected(answer.error());
  const json services = answer->is_array() ? *answer : json::array({*answer});
  if (!o.form.json()) return backend_table(services, !o.form.no_headers);
  json out = json::array();
  for (const json& service : services)
    for (json backend : service.value("backends", json::array())) {
      backend["service"] = service.value("name", "");
      out.push_back(std::move(backend));
    }
  return pretty(out);
}

}  // namespace

std::string backend_table(const json& services, bool headers) {
  using enum Align;
  Table table{{"SERVICE"},      {"NAME"},     {"ADDRESS"},        {"WEIGHT", right}, {"ADMIN"},
              {"ROWS%", right}, {"NEXT-HOP"}, {"PACKETS", right}, {"BYTES", right},  {"CONNS", right}};
  for (const json& s : services)
    for (const json& b : s.value("backends", json::array()))
      table.add({cell(s, "name"), cell(b, "name"), cell(b, "address"), cell(b, "weight"), cell(b, "admin"),
                 fmt::format("{:.1f}", 100 * b.value("share", 0.0)), next_hop(b), cell(b, "packets"), cell(b, "bytes"),
                 cell(b, "connections")});
  return table.text(headers);
}

void add_backend_verbs(CLI::App& app, Action& action) {
  CLI::App* noun = app.add_subcommand("backend", "The servers behind a service")->require_subcommand(1);
  const auto o = std::make_shared<Options>();

  CLI::App* add = add_verb(*noun, "add", "Add a backend to a service",
                           "lbctl backend add web 198.51.100.11:8080 --name b1 --weight 100");
  add->add_option("SERVICE", o->service, "Name of the service")->required()->check(not_empty);
  add->add_option("ADDRESS:PORT", o->address,
                  "198.51.100.11:8080 or [2001:db8::11]:8080; port 0 under a VIP with port 0")
      ->required();
  add->add_option("--name", o->name, "Its name in the service; derived from the address if absent");
  add->add_option("--weight", o->weight, "Its share of new flows relative to the others: 0..65535, 100 if absent");
  add_safety(*add, o->safety);
  add->callback([o, &action] {
    action = [o](const Client& lbd) {
      json body = {{"address", o->address}};
      if (!o->weight.empty()) body["weight"] = as_number(o->weight);
      return lbd.change("PUT", backend_path(o->service, o->name.empty() ? "-" : o->name) + o->safety.query_string(),
                        body);
    };
  });

  CLI::App* set = verb_on_one(*noun, o, "set", "Change a backend's weight", "lbctl backend set web/b1 --weight 50");
  set->add_option("--weight", o->weight, "Its share of new flows relative to the others: 0..65535")->required();
  set->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.change("PATCH", object_path(o->object) + o->safety.query_string(), {{"weight", as_number(o->weight)}});
    };
  });

  add_admin_verb(*noun, o, action, "drain", "draining", "Send a backend no new flows");
  add_admin_verb(*noun, o, action, "undrain", "active", "Use a backend again after drain or maint");
  add_admin_verb(*noun, o, action, "maint", "maint", "Give a backend no new flows, as drain does");

  CLI::App* del = verb_on_one(*noun, o, "del", "Delete a backend", "lbctl backend del web/b1");
  del->callback([o, &action] {
    action = [o](const Client& lbd) { return lbd.change("DELETE", object_path(o->object) + o->safety.query_string()); };
  });

  CLI::App* list = add_verb(*noun, "list", "The backends of one service, or of all",
                            "lbctl backend list web -o json | jq '.[].name'");
  list->add_option("SERVICE", o->service, "Name of the service")->check(not_empty);
  add_list_options(*list, o->form);
  list->callback([o, &action] { action = [o](const Client& lbd) { return list_backends(lbd, *o); }; });
}

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>
#include <optional>

#include "tools/lbctl/drain.hpp"
#include "tools/lbctl/output.hpp"
#include "tools/lbctl/table.hpp"
#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string service, address, name, weight;
  std::string object;  ///< SERVICE/NAME
  std::string deadline, then, watch, timeout, condition;
  bool wait = false, force_after = false;
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

std::string path_in(const std::string& service, const std::string& name) {
  return service_path(service) + "/backends/" + percent_encoded(name);
}

CLI::App* verb_on_one(CLI::App& noun, const Shared& o, const std::string& verb, const std::string& what,
                      const std::string& example) {
  CLI::App* app = add_verb(noun, verb, what, example);
  app->add_option("SERVICE/NAME", o->object, "The backend, for example web/b1")->required()->check(backend_fault);
  add_safety(*app, o->safety);
  return app;
}

void add_admin_verb(CLI::App& noun, const Shared& o, Action& action, const std::string& verb, const std::string& admin,
                    const std::string& what) {
  CLI::App* app = verb_on_one(noun, o, verb, what, "lbctl backend " + verb + " web/b1");
  app->callback([o, &action, admin] {
    action = [o, admin](const Client& lbd) {
      return lbd.change("PATCH", backend_path(o->object) + o->safety.query_string(), {{"admin", admin}});
    };
  });
}

// A drain's deadline; as lbd has it, 0 is none.
std::optional<std::chrono::seconds> span(const std::string& text) {
  const unsigned length = seconds(text);
  return length == 0 ? std::nullopt : std::optional(std::chrono::seconds(length));
}

Outcome<std::string> drain(const Client& lbd, const Options& o) {
  json terms = json::object();
  if (!o.deadline.empty()) terms["deadline_seconds"] = seconds(o.deadline);
  if (!o.then.empty()) terms["then"] = o.then;
  if (o.force_after) terms["force_after"] = true;
  if (!o.watch.empty()) terms["watch_seconds"] = seconds(o.watch);
  json body = {{"admin", "draining"}};
  if (!terms.empty()) body["drain"] = std::move(terms);

  const bool waits = o.wait && !o.safety.dry_run;
  const auto deadline = span(o.deadline);
  DrainWait::Order order{std::chrono::steady_clock::now(), deadline, o.then == "remove", o.force_after};
  const Client patient = waits && deadline ? lbd.within(*deadline + after_deadline) : lbd;
  auto changed = patient.change("PATCH", backend_path(o.object) + o.safety.query_string(), body);
  if (!changed || !waits) return changed;
  if (const Outcome<> written = write_out(*changed); !written) return tl::unexpected(written.error());
  return wait_drained(lbd, {.object = o.object, .order = order});
}

Outcome<std::string> wait_for(const Client& lbd, const Options& o) {
  std::optional<std::chrono::seconds> patience;
  if (!o.timeout.empty()) patience = std::chrono::seconds(seconds(o.timeout));
  if (o.condition == "removed") return wait_removed(lbd, o.object, patience);
  return wait_drained(lbd, {.object = o.object, .patience = patience});
}

void add_drain_verbs(CLI::App& noun, const Shared& o, Action& action) {
  CLI::App* app = verb_on_one(noun, o, "drain", "Send a backend no new flows, and let it finish those it has",
                              "lbctl backend drain web/b1 --wait --deadline 10m --then remove");
  app->add_flag("--wait", o->wait, "Show the remaining flows; exit code 0 when none is left, 3 at the deadline");
  app->add_option("--deadline", o->deadline, "End the drain after this time, for example 10m")->check(duration_fault);
  app->add_option("--then", o->then, "remove: delete the backend once it is drained")->check(CLI::IsMember({"remove"}));
  app->add_flag("--force-after", o->force_after, "At the deadline, reset the flows that remain");
  app->add_option("--watch", o->watch,
                  "How long to watch before no remaining flow means drained, where not every flow is remembered: 5s")
      ->check(duration_fault);
  app->callback([o, &action] {
    if (o->force_after && o->deadline.empty()) throw CLI::RequiredError("--deadline, which --force-after needs,");
    action = [o](const Client& lbd) { return drain(lbd, *o); };
  });

  CLI::App* wait =
      add_verb(noun, "wait", "Wait until a backend is drained or removed; exit code 3 when it is not in time",
               "lbctl backend wait web/b1 --for drained --timeout 5m");
  wait->add_option("SERVICE/NAME", o->object, "The backend, for example web/b1")->required()->check(backend_fault);
  wait->add_option("--for", o->condition, "drained, or removed")
      ->required()
      ->check(CLI::IsMember({"drained", "removed"}));
  wait->add_option("--timeout", o->timeout, "How long to wait, for example 5m; without end if absent")
      ->check(duration_fault);
  wait->callback([o, &action] { action = [o](const Client& lbd) { return wait_for(lbd, *o); }; });
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
      return lbd.change("PUT", path_in(o->service, o->name.empty() ? "-" : o->name) + o->safety.query_string(), body);
    };
  });

  CLI::App* set = verb_on_one(*noun, o, "set", "Change a backend's weight", "lbctl backend set web/b1 --weight 50");
  set->add_option("--weight", o->weight, "Its share of new flows relative to the others: 0..65535")->required();
  set->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.change("PATCH", backend_path(o->object) + o->safety.query_string(),
                        {{"weight", as_number(o->weight)}});
    };
  });

  add_drain_verbs(*noun, o, action);
  add_admin_verb(*noun, o, action, "undrain", "active", "Use a backend again after drain or maint");
  add_admin_verb(*noun, o, action, "maint", "maint", "Give a backend no flows at all: those it has pick another one");

  CLI::App* del = verb_on_one(*noun, o, "del", "Delete a backend", "lbctl backend del web/b1");
  del->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.change("DELETE", backend_path(o->object) + o->safety.query_string());
    };
  });

  CLI::App* list = add_verb(*noun, "list", "The backends of one service, or of all",
                            "lbctl backend list web -o json | jq '.[].name'");
  list->add_option("SERVICE", o->service, "Name of the service")->check(not_empty);
  add_list_options(*list, o->form);
  list->callback([o, &action] { action = [o](const Client& lbd) { return list_backends(lbd, *o); }; });
}

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "tools/lbctl/output.hpp"
#include "tools/lbctl/table.hpp"
#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string service, backend, source, destination, protocol;
  Form form;

  [[nodiscard]] bool filtered() const {
    return !(service.empty() && backend.empty() && source.empty() && destination.empty() && protocol.empty());
  }
  [[nodiscard]] std::string query_string() const {
    return query({{"service", service},
                  {"backend", backend},
                  {"source", source},
                  {"destination", destination},
                  {"protocol", protocol}});
  }
};
using Shared = std::shared_ptr<Options>;

void add_filter(CLI::App& verb, Options& o) {
  verb.add_option("--service", o.service, "Flows of this service")->check(not_empty);
  verb.add_option("--backend", o.backend, "Flows of this backend, SERVICE/NAME")->check(backend_fault);
  verb.add_option("--source", o.source, "Flows from this client: ADDRESS or ADDRESS:PORT")->check(not_empty);
  verb.add_option("--destination", o.destination, "Flows to this ADDRESS:PORT; port 0: any")->check(not_empty);
  verb.add_option("--protocol", o.protocol, "tcp or udp")->check(CLI::IsMember({"tcp", "udp"}));
}

// Widths are fixed, because rows are printed while they come: those of IPv4, where most cells fit.
std::string line(const std::string& backend, const std::string& protocol, const std::string& source,
                 const std::string& destination, const std::string& state, const std::string& idle,
                 const std::string& row) {
  return fmt::format("{:<20}  {:<5}  {:<21}  {:<21}  {:<11}  {:>6}  {:>6}\n", backend, protocol, source, destination,
                     state, idle, row);
}

std::string row_of(const json& flow) {
  const auto shown = [&flow](const char* field) {
    const std::string text = cell(flow, field);
    return text.empty() ? std::string("-") : text;
  };
  return line(shown("service") + "/" + shown("backend"), shown("protocol"), shown("source"), shown("destination"),
              shown("state"), fmt::format("{:.0f}s", flow.value("idle_seconds", 0.0)), shown("row"));
}

/// Prints flows while lbd sends them; says how many there were.
class Printer {
 public:
  explicit Printer(const Form& form) : form_(form) {}

  Outcome<> take(std::string_view bytes) {
    rest_ += bytes;
    std::string out;
    std::size_t start = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos; start = end + 1) {
      const std::string_view one = std::string_view(rest_).substr(start, end - start);
      if (count_++ == 0 && !form_.json() && !form_.no_headers) out += headers();
      out += form_.json() ? std::string(one) + '\n' : row_of(json::parse(one));
    }
    rest_.erase(0, start);
    return write_out(out);
  }

  [[nodiscard]] unsigned long long count() const { return count_; }
  [[nodiscard]] bool whole() const { return rest_.empty(); }
  static std::string headers() { return line("BACKEND", "PROTO", "SOURCE", "DESTINATION", "STATE", "IDLE", "ROW"); }

 private:
  const Form& form_;
  std::string rest_;  ///< of a line that has not come whole
  unsigned long long count_ = 0;
};

/// How many flows there were.
Outcome<unsigned long long> print_flows(const Client& lbd, const Options& o) {
  Printer printer(o.form);
  const auto done =
      lbd.stream("/v1/conns" + o.query_string(), [&](std::string_view bytes) { return printer.take(bytes); });
  if (!done) return tl::unexpected(done.error());
  if (!printer.whole()) return fail(Exit::failed, "the list is not whole: its last line has no end");
  return printer.count();
}

Outcome<std::string> list(const Client& lbd, const Options& o) {
  const auto count = print_flows(lbd, o);
  if (!count) return tl::unexpected(count.error());
  return *count == 0 && !o.form.json() && !o.form.no_headers ? Printer::headers() : "";
}

Outcome<std::string> find(const Client& lbd, const Options& o) {
  const auto count = print_flows(lbd, o);
  if (!count) return tl::unexpected(count.error());
  if (*count > 0) return "";
  return fail(Exit::failed,
              "lbd remembers no such flow; flows of settled rows are not remembered, `lbctl trace {} {} {}` says "
              "which backend they have",
              o.protocol, o.source, o.destination);
}

std::string count_text(const json& answer, bool headers) {
  Table table{{"BACKEND"}, {"FLOWS", Align::right}};
  const json by_backend = answer.value("by_backend", json::object());
  for (const auto& [backend, flows] : by_backend.items()) table.add({backend, flows.dump()});
  table.add({"total", cell(answer, "count")});
  return table.text(headers);
}

CLI::App* filtered_verb(CLI::App& noun, const Shared& o, const std::string& verb, const std::string& what,
                        const std::string& example) {
  CLI::App* app = add_verb(noun, verb, what, example);
  add_filter(*app, *o);
  return app;
}

}  // namespace

void add_conn_verbs(CLI::App& app, Action& action) {
  CLI::App* noun = app.add_subcommand("conn",
                                      "Flows that lbd remembers: those of rows that have changed, and of "
                                      "services with track all")
                       ->require_subcommand(1);
  const auto o = std::make_shared<Options>();

  CLI::App* list_verb = filtered_verb(*noun, o, "list", "Flows, one line each; json: one object per line",
                                      "lbctl conn list --backend web/b1 -o json | jq -r .source");
  add_list_options(*list_verb, o->form);
  list_verb->callback([o, &action] { action = [o](const Client& lbd) { return list(lbd, *o); }; });

  CLI::App* count = filtered_verb(*noun, o, "count", "How many flows, by backend", "lbctl conn count --service web");
  add_list_options(*count, o->form);
  count->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.get("/v1/conns/count" + o->query_string()).map([&](const json& answer) {
        return o->form.json() ? pretty(answer) : count_text(answer, !o->form.no_headers);
      });
    };
  });

  CLI::App* find_verb = add_verb(*noun, "find", "The flow of one 5-tuple; exit code 1 when it is not remembered",
                                 "lbctl conn find tcp 192.0.2.1:40000 203.0.113.10:80");
  find_verb->add_option("PROTOCOL", o->protocol, "tcp or udp")->required()->check(CLI::IsMember({"tcp", "udp"}));
  find_verb->add_option("SOURCE:PORT", o->source, "The client's address and port")->required();
  find_verb->add_option("DESTINATION:PORT", o->destination, "The VIP's address and port")->required();
  add_list_options(*find_verb, o->form);
  find_verb->callback([o, &action] { action = [o](const Client& lbd) { return find(lbd, *o); }; });

  CLI::App* kill = filtered_verb(*noun, o, "kill", "End flows: the next packet of each is answered with a reset",
                                 "lbctl conn kill --source 192.0.2.1:40000");
  kill->callback([o, &action] {
    if (!o->filtered()) throw CLI::RequiredError("--service, --backend, --source, --destination or --protocol");
    action = [o](const Client& lbd) -> Outcome<std::string> {
      const Outcome<json> answer = lbd.post("/v1/conns/kill" + o->query_string());
      if (!answer) return tl::unexpected(answer.error());
      const auto killed = answer->at("killed").get<unsigned long long>();
      return fmt::format("{} {} killed\n", killed, killed == 1 ? "flow" : "flows");
    };
  });
}

}  // namespace weir::lbctl

// SPDX-License-Identifier: Apache-2.0
#include "control/api/routes.hpp"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "control/api/body.hpp"
#include "control/api/conn_filter.hpp"
#include "control/api/target.hpp"
#include "control/model/text.hpp"

namespace weir::api {

namespace {

using Reply = std::function<void(Answer)>;

struct Context {
  Operations& operations;
  const Target& target;
  std::vector<std::string> names;  ///< what the {} of the route's path stand for
  const std::string& body;
  Reply reply;
};

Answer text_answer(std::string type, std::string body) { return {200, std::move(type), std::move(body), {}, {}}; }

void change(const Context& c, Result<model::Mutation> mutation) {
  const Result<bool> force = c.target.flag("force");
  const Result<bool> dry_run = c.target.flag("dry-run");
  if (!force) return c.reply(error_answer(force.error()));
  if (!dry_run) return c.reply(error_answer(dry_run.error()));
  if (!mutation) return c.reply(error_answer(mutation.error()));
  c.operations.mutate({std::move(*mutation), *force, *dry_run},
                      [reply = c.reply](const Result<model::Plan>& plan) { reply(plan_answer(plan)); });
}

void apply(const Context& c) {
  const std::string* file = c.target.find("file");
  change(c, c.operations.parse_config(c.body, file != nullptr ? *file : "request"));
}

// Safety rules would hide the effects of what they refuse, and nothing is changed here.
void diff(const Context& c) {
  const std::string* file = c.target.find("file");
  const auto wanted = c.operations.parse_config(c.body, file != nullptr ? *file : "request");
  if (!wanted) return c.reply(error_answer(wanted.error()));
  c.operations.mutate({*wanted, /*force=*/true, /*dry_run=*/true},
                      [reply = c.reply](const Result<model::Plan>& plan) { reply(plan_answer(plan)); });
}

/// What `ask` answers about the flows that the parameters name.
template <class Ask>
void with_filter(const Context& c, Ask ask) {
  const Result<ConnFilter> filter = parse_conn_filter(c.target);
  c.reply(filter ? ask(*filter) : error_answer(filter.error()));
}

void kill_conns(const Context& c) {
  with_filter(c, [&c](const ConnFilter& filter) {
    if (filter.empty())
      return error_answer({Fault::invalid,
                           "this would end every flow; name a service, backend, source, destination or "
                           "protocol"});
    return document_answer(c.operations.conn_kill(filter));
  });
}

void detach(const Context& c) {
  const Result<bool> dry_run = c.target.flag("dry-run");
  if (!dry_run) return c.reply(error_answer(dry_run.error()));
  if (*dry_run)
    return c.reply(
        json_answer({{"changed", true}, {"lines", {"would remove program, links, maps and pins, and end lbd"}}}));
  if (const Result<> done = c.operations.detach(); !done) return c.reply(error_answer(done.error()));
  c.reply(json_answer({{"changed", true}, {"lines", {"program, links, maps and pins removed; lbd ends"}}}));
}

template <class Parse>
auto parameter(const Target& target, const char* name, Parse parse) -> decltype(parse(std::string_view{})) {
  const std::string* text = target.find(name);
  if (text == nullptr) return fail(Fault::invalid, "parameter \"{}\" is missing", name);
  auto value = parse(*text);
  if (!value) return tl::unexpected(about(name, value.error()));
  return value;
}

void trace(const Context& c) {
  const auto protocol = parameter(c.target, "protocol", model::parse_protocol);
  if (!protocol) return c.reply(error_answer(protocol.error()));
  const auto source = parameter(c.target, "source", model::parse_endpoint);
  if (!source) return c.reply(error_answer(source.error()));
  const auto destination = parameter(c.target, "destination", model::parse_endpoint);
  if (!destination) return c.reply(error_answer(destination.error()));
  const auto syn = c.target.flag("syn");
  if (!syn) return c.reply(error_answer(syn.error()));
  c.reply(document_answer(c.operations.trace({*protocol, *source, *destination, *syn})));
}

struct Route {
  std::string_view method;
  std::string_view path;                     ///< "{}" stands for one name
  std::vector<std::string_view> parameters;  ///< of the query
  void (*run)(const Context&);
};

const std::vector<Route>& routes() {
  static const std::vector<std::string_view> safety = {"force", "dry-run"};
  static const std::vector<std::string_view> flow = {"service", "backend", "source", "destination", "protocol"};
  static const std::vector<Route> table = {
      {"GET",
       "/metrics",
       {},
       [](const Context& c) {
         c.reply(text_answer("text/plain; version=0.0.4; charset=utf-8", c.operations.metrics()));
       }},
      {"GET",
       "/v1/version",
       {},
       [](const Context& c) {
         c.reply(json_answer({{"version", WEIR_VERSION}}));
       }},
      {"GET", "/v1/status", {}, [](const Context& c) { c.reply(json_answer(c.operations.status())); }},
      {"GET", "/v1/stats", {}, [](const Context& c) { c.reply(json_answer(c.operations.stats())); }},
      {"GET",
       "/v1/export",
       {},
       [](const Context& c) { c.reply(text_answer("text/plain; charset=utf-8", c.operations.export_config())); }},
      {"GET", "/v1/trace", {"protocol", "source", "destination", "syn"}, trace},
      {"POST", "/v1/apply", {"force", "dry-run", "file"}, apply},
      {"POST", "/v1/diff", {"file"}, diff},
      {"POST", "/v1/detach", safety, detach},
      {"GET", "/v1/conns", flow,
       [](const Context& c) {
         with_filter(c, [&c](const ConnFilter& filter) {
           return pieces_answer("application/x-ndjson", c.operations.conns(filter));
         });
       }},
      {"GET", "/v1/conns/count", flow,
       [](const Context& c) {
         with_filter(c, [&c](const ConnFilter& filter) { return document_answer(c.operations.conn_count(filter)); });
       }},
      {"POST", "/v1/conns/kill", flow, kill_conns},
      {"GET", "/v1/services", {}, [](const Context& c) { c.reply(json_answer(c.operations.services())); }},
      {"GET",
       "/v1/services/{}",
       {},
       [](const Context& c) { c.reply(document_answer(c.operations.service(c.names[0]))); }},
      {"PUT", "/v1/services/{}", safety, [](const Context& c) { change(c, parse_add_service(c.names[0], c.body)); }},
      {"PATCH", "/v1/services/{}", safety, [](const Context& c) { change(c, parse_set_service(c.names[0], c.body)); }},
      {"DELETE", "/v1/services/{}", safety,
       [](const Context& c) { change(c, model::Mutation(model::DeleteService{c.names[0]})); }},
      {"GET",
       "/v1/services/{}/rows",
       {},
       [](const Context& c) { c.reply(document_answer(c.operations.rows(c.names[0]))); }},
      {"PUT", "/v1/services/{}/backends/{}", safety,
       [](const Context& c) { change(c, parse_add_backend(c.names[0], c.names[1], c.body)); }},
      {"PATCH", "/v1/services/{}/backends/{}", safety,
       [](const Context& c) { change(c, parse_set_backend(c.names[0], c.names[1], c.body)); }},
      {"GET",
       "/v1/services/{}/backends/{}/drain",
       {},
       [](const Context& c) { c.reply(document_answer(c.operations.drain_status(c.names[0], c.names[1]))); }},
      {"DELETE", "/v1/services/{}/backends/{}", safety,
       [](const Context& c) {
         change(c, model::Mutation(model::DeleteBackend{c.names[0], c.names[1]}));
       }},
  };
  return table;
}

bool matches(std::string_view path, const std::vector<std::string>& segments, std::vector<std::string>& names) {
  names.clear();
  for (const std::string& segment : segments) {
    if (path.empty()) return false;
    path.remove_prefix(1);
    const std::string_view wanted = path.substr(0, path.find('/'));
    if (wanted == "{}" && !segment.empty())
      names.push_back(segment);
    else if (wanted != segment)
      return false;
    path.remove_prefix(wanted.size());
  }
  return path.empty();
}

Result<> check_parameters(const Route& route, const Target& target) {
  for (const auto& [name, value] : target.query)
    if (std::find(route.parameters.begin(), route.parameters.end(), name) == route.parameters.end())
      return fail(Fault::invalid, "unknown parameter {}; {} {} knows {}", in_quotes(name), route.method, route.path,
                  route.parameters.empty() ? "none" : fmt::format("{}", fmt::join(route.parameters, ", ")));
  return {};
}

// "-" asks PUT to derive a backend's name; elsewhere it breaks the rule like any other bad name.
Result<> check_names(const Context& c, std::string_view method) {
  for (std::size_t i = 0; i < c.names.size(); ++i) {
    if (i == 1 && method == "PUT" && c.names[i] == "-") continue;
    if (const std::string fault = model::name_fault(c.names[i]); !fault.empty())
      return fail(Fault::invalid, "{} name {} {}", i == 0 ? "service" : "backend", in_quotes(c.names[i]), fault);
  }
  return {};
}

}  // namespace

void route(Operations& operations, Scope scope, const Call& call, const Reply& reply) {
  const Result<Target> target = parse_target(call.target);
  if (!target) return reply(error_answer(target.error()));
  const std::string_view method = call.method == "HEAD" ? "GET" : std::string_view(call.method);
  Context context{operations, *target, {}, call.body, reply};

  std::string allow;
  for (const Route& candidate : routes()) {
    if (scope == Scope::metrics && candidate.path != "/metrics") continue;
    if (!matches(candidate.path, target->segments, context.names)) continue;
    if (candidate.method != method) {
      allow +=
          fmt::format("{}{}", allow.empty() ? "" : ", ", candidate.method == "GET" ? "GET, HEAD" : candidate.method);
      continue;
    }
    Result<> valid = check_parameters(candidate, *target);
    if (valid) valid = check_names(context, method);
    if (!valid) return reply(error_answer(valid.error()));
    try {
      return candidate.run(context);
    } catch (const std::exception& error) {  // one request that meets a bug must not end the daemon
      return reply(
          error_answer({Fault::internal, fmt::format("{} {} failed: {}", method, candidate.path, error.what())}));
    }
  }
  const std::string_view path = std::string_view(call.target).substr(0, call.target.find('?'));
  if (allow.empty()) return reply(error_answer({Fault::not_found, fmt::format("no such path: {}", in_quotes(path))}));
  Answer answer = error_answer(405, {Fault::invalid, fmt::format("{} does not take {}; it takes {}", in_quotes(path),
                                                                 in_quotes(call.method), allow)});
  answer.allow = std::move(allow);
  reply(std::move(answer));
}

std::size_t body_limit(std::string_view target, std::size_t largest) {
  constexpr std::size_t json_object = 64 * 1024;
  const std::string_view path = target.substr(0, target.find('?'));
  return path == "/v1/apply" || path == "/v1/diff" ? largest : std::min(json_object, largest);
}

}  // namespace weir::api

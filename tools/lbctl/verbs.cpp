// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/verbs.hpp"

#include "control/model/text.hpp"

namespace weir::lbctl {

using nlohmann::json;

std::string Safety::query_string() const {
  return query({{"force", force ? "true" : ""}, {"dry-run", dry_run ? "true" : ""}});
}

CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example) {
  CLI::App* verb = parent.add_subcommand(name, what);
  verb->footer("Example:\n  " + example + "\n");
  return verb;
}

void add_safety(CLI::App& verb, Safety& safety) {
  verb.add_flag("--dry-run", safety.dry_run, "Check and say what would change; change nothing");
  verb.add_flag("--force", safety.force, "Do it even where a safety rule refuses (exit code 5)");
}

void add_output(CLI::App& verb, Form& form) {
  verb.add_option("-o,--output", form.output, "table or json")->check(CLI::IsMember({"table", "json"}));
}

void add_list_options(CLI::App& verb, Form& form) {
  add_output(verb, form);
  verb.add_flag("--no-headers", form.no_headers, "Leave out the line of column titles");
}

std::string not_empty(const std::string& text) { return text.empty() ? "is empty" : ""; }

std::string backend_fault(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos && slash > 0 && slash + 1 < text.size() &&
      text.find('/', slash + 1) == std::string::npos)
    return "";
  return fmt::format("\"{}\" does not name a backend; write SERVICE/NAME, for example web/b1", text);
}

std::string duration_fault(const std::string& text) {
  const auto parsed = model::parse_duration(text);
  return parsed ? "" : parsed.error().message;
}

unsigned seconds(const std::string& text) { return model::parse_duration(text).value_or(0); }

std::string backend_path(const std::string& object) {
  const std::size_t slash = object.find('/');
  return service_path(object.substr(0, slash)) + "/backends/" + percent_encoded(object.substr(slash + 1));
}

std::string service_path(const std::string& service) { return "/v1/services/" + percent_encoded(service); }

json as_number(const std::string& text) {
  json value = json::parse(text, nullptr, false);
  return value.is_number() ? value : json(text);
}

std::string pretty(const json& document) { return document.dump(2, ' ', false, json::error_handler_t::replace) + '\n'; }

std::string cell(const json& object, const char* field) {
  const auto value = object.find(field);
  if (value == object.end() || value->is_null()) return "";
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::string yes_no(const json& object, const char* field) {
  const auto value = object.find(field);
  if (value == object.end() || !value->is_boolean()) return "";
  return value->get<bool>() ? "yes" : "no";
}

}  // namespace weir::lbctl

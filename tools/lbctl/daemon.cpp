// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "tools/lbctl/table.hpp"
#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string file;
  bool all = false;
  Safety safety;
  Form form;
};

std::string status_text(const json& status) {
  std::string out = fmt::format(
      "lbd {}, pid {}, up {} s, configuration {}, generation {}\n{} services, {} backends, {} of {} rows used\n\n",
      cell(status, "version"), cell(status, "pid"), cell(status, "uptime_seconds"), cell(status, "config_file"),
      cell(status, "generation"), cell(status, "services"), cell(status, "backends"), cell(status, "rows_used"),
      cell(status, "rows_limit"));
  if (const auto flows = status.find("flows"); flows != status.end())
    out.insert(out.size() - 1,
               fmt::format("{} of {} flow entries, {} of {} embryos, {} rows moving, {} pinned\n",
                           cell(*flows, "entries"), cell(*flows, "capacity"), cell(*flows, "embryos"),
                           cell(*flows, "embryo_capacity"), cell(*flows, "rows_moving"), cell(*flows, "rows_pinned")));
  Table interfaces{{"INTERFACE"}, {"INDEX", Align::right}, {"ATTACHED"}, {"MAC"}, {"UP"}};
  for (const json& i : status.value("interfaces", json::array()))
    interfaces.add({cell(i, "name"), cell(i, "ifindex"), cell(i, "attached"), cell(i, "mac"), yes_no(i, "up")});
  out += interfaces.text();
  for (const json& warning : status.value("warnings", json::array()))
    out += "\nwarning: " + warning.get<std::string>() + "\n";
  return out;
}

std::string stats_text(const json& stats, bool all) {
  using enum Align;
  Table verdicts{{"VERDICT"}, {"ACTION"}, {"EXPECTED"}, {"PACKETS", right}, {"BYTES", right}, {"MEANING"}};
  for (const json& v : stats.value("verdicts", json::array()))
    if (all || v.value("packets", 0ULL) != 0)
      verdicts.add({cell(v, "name"), cell(v, "action"), yes_no(v, "expected"), cell(v, "packets"), cell(v, "bytes"),
                    cell(v, "meaning")});

  Table services{
      {"SERVICE"},     {"PACKETS", right}, {"BYTES", right}, {"RETURN-PACKETS", right}, {"RETURN-BYTES", right},
      {"CONNS", right}};
  for (const json& s : stats.value("services", json::array()))
    services.add({cell(s, "name"), cell(s, "packets"), cell(s, "bytes"), cell(s, "return_packets"),
                  cell(s, "return_bytes"), cell(s, "connections")});

  Table flows{{"SERVICE"},
              {"REMEMBERED", right},
              {"RESELECTED", right},
              {"EVICTED-EMBRYO", right},
              {"EVICTED-ESTABLISHED", right},
              {"EVICTED-UDP", right},
              {"MISROUTED", right},
              {"RESET", right}};
  for (const json& s : stats.value("services", json::array()))
    flows.add({cell(s, "name"), cell(s, "flows_remembered"), cell(s, "flows_reselected"),
               cell(s, "flows_evicted_embryo"), cell(s, "flows_evicted_established"), cell(s, "flows_evicted_udp"),
               cell(s, "flows_misrouted"), cell(s, "flows_reset")});

  Table backends{
      {"BACKEND"},     {"PACKETS", right}, {"BYTES", right}, {"RETURN-PACKETS", right}, {"RETURN-BYTES", right},
      {"CONNS", right}};
  for (const json& b : stats.value("backends", json::array()))
    backends.add({cell(b, "service") + "/" + cell(b, "name"), cell(b, "packets"), cell(b, "bytes"),
                  cell(b, "return_packets"), cell(b, "return_bytes"), cell(b, "connections")});
  return verdicts.text() + "\n" + services.text() + "\n" + flows.text() + "\n" + backends.text();
}

Outcome<std::string> show_version(const Client& lbd) {
  const std::string own = "lbctl " WEIR_VERSION "\n";
  const auto answer = lbd.get("/v1/version");
  if (!answer) return tl::unexpected(Failure{answer.error().exit, answer.error().message, own});
  return own + "lbd " + cell(*answer, "version") + "\n";
}

Outcome<std::string> read_file(const std::string& name) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(name == "-" ? nullptr : std::fopen(name.c_str(), "re"),
                                                               [](std::FILE* f) { return std::fclose(f); });
  std::FILE* file = name == "-" ? stdin : opened.get();
  std::string text;
  char block[65536];
  if (file != nullptr)
    while (const std::size_t n = std::fread(block, 1, sizeof block, file)) text.append(block, n);
  if (file == nullptr || std::ferror(file) != 0)
    return fail(Exit::failed, "{} cannot be read: {}", name, std::generic_category().message(errno));
  return text;
}

Outcome<std::string> apply(const Client& lbd, const Options& o) {
  const Outcome<std::string> text = read_file(o.file);
  if (!text) return text;
  return lbd.change_text("POST",
                         "/v1/apply" + query({{"file", o.file == "-" ? "stdin" : o.file},
                                              {"force", o.safety.force ? "true" : ""},
                                              {"dry-run", o.safety.dry_run ? "true" : ""}}),
                         *text);
}

Outcome<std::string> diff(const Client& lbd, const Options& o) {
  const Outcome<std::string> text = read_file(o.file);
  if (!text) return text;
  const std::string target = "/v1/diff" + query({{"file", o.file == "-" ? "stdin" : o.file}});
  if (!o.form.json()) return lbd.change_text("POST", target, *text);
  return lbd.post(target, *text).map(pretty);
}

}  // namespace

void add_daemon_verbs(CLI::App& app, Action& action) {
  const auto o = std::make_shared<Options>();

  CLI::App* status = add_verb(app, "status", "The daemon, its interfaces and what needs attention", "lbctl status");
  add_output(*status, o->form);
  status->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.get("/v1/status").map([&](const json& s) { return o->form.json() ? pretty(s) : status_text(s); });
    };
  });

  CLI::App* stats = add_verb(app, "stats", "Packets and bytes by verdict, service and backend", "lbctl stats --all");
  stats->add_flag("--all", o->all, "Verdicts that no packet has met as well");
  add_output(*stats, o->form);
  stats->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd.get("/v1/stats").map([&](const json& s) {
        return o->form.json() ? pretty(s) : stats_text(s, o->all);
      });
    };
  });

  CLI::App* version = add_verb(app, "version", "Versions of lbctl and of the running lbd", "lbctl version");
  version->callback([&action] { action = show_version; });

  CLI::App* apply_verb = add_verb(app, "apply", "Make the services those of a configuration file, and no others",
                                  "lbctl apply -f lb.toml --dry-run");
  apply_verb->add_option("-f,--file", o->file, "TOML file; - for standard input")->required();
  add_safety(*apply_verb, o->safety);
  apply_verb->callback([o, &action] { action = [o](const Client& lbd) { return apply(lbd, *o); }; });

  CLI::App* diff_verb = add_verb(app, "diff", "What a configuration file would change, and what that would do to flows",
                                 "lbctl diff -f lb.toml");
  diff_verb->add_option("-f,--file", o->file, "TOML file; - for standard input")->required();
  add_output(*diff_verb, o->form);
  diff_verb->callback([o, &action] { action = [o](const Client& lbd) { return diff(lbd, *o); }; });

  CLI::App* export_verb =
      add_verb(app, "export", "The running configuration as a file that apply takes", "lbctl export > lb.toml");
  export_verb->callback([&action] { action = [](const Client& lbd) { return lbd.call("GET", "/v1/export"); }; });

  CLI::App* detach = add_verb(app, "detach", "Remove the fast path from the kernel and end lbd", "lbctl detach");
  add_safety(*detach, o->safety);
  detach->callback([o, &action] {
    action = [o](const Client& lbd) { return lbd.change("POST", "/v1/detach" + o->safety.query_string()); };
  });
}

}  // namespace weir::lbctl

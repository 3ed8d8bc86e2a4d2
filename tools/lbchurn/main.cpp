// SPDX-License-Identifier: Apache-2.0
// lbchurn: what churn costs. Tables that change, and connections that live through it.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tools/lbchurn/flows.hpp"
#include "tools/lbchurn/report.hpp"
#include "tools/lbchurn/tables.hpp"

namespace {

using namespace weir;
using namespace weir::lbchurn;

void add_table(CLI::App& app, TableStudy& study) {
  std::string known = "Which (all): ";
  for (const Algorithm& a : algorithms()) {
    known += std::string(a.name) + " (" + a.what + "), ";
    study.algorithms.emplace_back(a.name);
  }
  known.resize(known.size() - 2);
  study.members = {3, 10, 30, 100, 300, 993, 1000};
  study.rows = {4096, 65536, 131072};
  app.add_option("--algorithm", study.algorithms, known)->type_name("NAME");
  app.add_option("--members", study.members, "Numbers of backends")->capture_default_str()->type_name("N");
  app.add_option("--rows", study.rows, "Table sizes, powers of two")->capture_default_str()->type_name("N");
  app.add_option("--trials", study.trials, "Tables of each kind")->capture_default_str()->type_name("N");
  app.add_option("--seed", study.seed, "Of the tables")->capture_default_str()->type_name("N");
}

void add_flows(CLI::App& app, FlowStudy& study) {
  const auto add = [&app](const char* name, auto& value, const char* what, const char* unit) {
    app.add_option(name, value, what)->capture_default_str()->type_name(unit);
  };
  add("--backends", study.backends, "Backends at the start", "N");
  add("--rows", study.rows, "Rows of the table, a power of two", "N");
  add("--change", study.change, "From one change of the backends to the next; 0: none", "SECONDS");
  add("--rate", study.rate, "Flows that begin per second", "N");
  add("--duration", study.duration, "Time that is simulated", "SECONDS");
  add("--shortest", study.shortest, "Shortest life of a flow", "SECONDS");
  add("--tail", study.tail, "Lifetimes: the share above t falls as t^-TAIL", "TAIL");
  add("--longest", study.longest, "Longest life of a flow", "SECONDS");
  add("--pause", study.pause, "Between two packets of a flow, mean", "SECONDS");
  add("--silence", study.silence, "The same, at most", "SECONDS");
  add("--settle", study.settle, "Settle window", "SECONDS");
  add("--sweep", study.sweep, "From one sweep of the flow table to the next", "SECONDS");
  add("--closing", study.closing, "That a closed flow is remembered", "SECONDS");
  add("--entries", study.entries, "Established flows that the flow table holds", "N");
  add("--embryos", study.embryos, "Flows of one packet that it holds", "N");
  add("--seed", study.seed, "Of everything that is drawn", "N");
}

template <class Study>
int run(const Study& wanted, const std::string& output) {
  const auto found = study(wanted);
  if (!found) {
    fmt::print(stderr, "lbchurn: {}\n", found.error().message);
    return 1;
  }
  fmt::print("{}", output == "json" ? json_of(wanted, *found) : text_of(wanted, *found));
  return 0;
}

constexpr const char* footer =
    "Exit codes: 0 done, 1 failed, 2 usage. What the figures mean: tools/README.md\n"
    "Example:\n  lbchurn table --members 1000 --rows 65536\n  lbchurn flows --settle 900 --duration 7200\n";

}  // namespace

int main(int argc, char** argv) {
  TableStudy tables;
  FlowStudy flows;
  std::string output = "text";
  CLI::App app("What changes of backends cost: rows that move, flows that break, flows to remember.", "lbchurn");
  app.set_version_flag("--version", "lbchurn " WEIR_VERSION);
  app.require_subcommand(1);
  auto* table = app.add_subcommand("table", "Balance, rows moved and build time of forwarding tables");
  auto* flow = app.add_subcommand("flows", "Broken flows, entries and look-ups under churn, by scheme");
  add_table(*table, tables);
  add_flows(*flow, flows);
  for (CLI::App* sub : {table, flow})
    sub->add_option("-o,--output", output, "text or json")->check(CLI::IsMember({"text", "json"}));
  app.footer(footer);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    fmt::print(stderr, "lbchurn: {} (see lbchurn --help)\n", error.what());
    return 2;
  }
  return *table ? run(tables, output) : run(flows, output);
}

// SPDX-License-Identifier: Apache-2.0
// lbctl: how people and scripts talk to lbd. Reads the command line, does one thing, prints, exits.
#include <csignal>
#include <cstdio>
#include <exception>

#include "tools/lbctl/output.hpp"
#include "tools/lbctl/verbs.hpp"

namespace {

using namespace weir::lbctl;

int finish(const Outcome<std::string>& outcome) {
  const std::string& output = outcome ? *outcome : outcome.error().output;
  const Outcome<> written = write_out(output);
  if (outcome && written) return static_cast<int>(Exit::ok);
  const Failure& failure = outcome ? written.error() : outcome.error();
  fmt::print(stderr, "lbctl: {}\n", failure.message);
  return static_cast<int>(failure.exit);
}

// The verb that was being parsed, for the hint where its help is.
std::string words_of(const CLI::App& app) {
  for (const CLI::App* sub : app.get_subcommands()) return app.get_name() + " " + words_of(*sub);
  return app.get_name();
}

}  // namespace

int main(int argc, char** argv) {
  // Whoever reads no more ends lbctl, without a word, also where the caller ignores this signal.
  std::signal(SIGPIPE, SIG_DFL);

  std::string socket = "/run/weir/lbd.sock";
  unsigned timeout_seconds = 60;
  Action action;

  CLI::App app("Controls lbd, the daemon of the Weir load balancer.", "lbctl");
  app.fallthrough();
  app.require_subcommand(1);
  app.set_version_flag("--version", "lbctl " WEIR_VERSION);
  app.add_option("--socket", socket, "Unix socket of lbd")->envname("WEIR_SOCKET")->capture_default_str();
  app.add_option("--timeout", timeout_seconds, "Seconds to wait for an answer (exit code 3)")
      ->check(CLI::Range(1U, 86400U))
      ->capture_default_str();
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out or deadline, 4 lbd is not reachable, 5 refused (--force "
      "overrides).\n"
      "Example:\n  lbctl backend drain web/b1\n");
  add_service_verbs(app, action);
  add_backend_verbs(app, action);
  add_conn_verbs(app, action);
  add_trace_verb(app, action);
  add_daemon_verbs(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    return finish(fail(Exit::usage, "{} (see {} --help)", error.what(), words_of(app)));
  }
  try {
    return finish(action(Client(socket, std::chrono::seconds(timeout_seconds))));
  } catch (const std::exception& error) {  // a document that is not of the shape that this version knows
    return finish(fail(Exit::failed, "the answer from {} is not understood: {}", socket, error.what()));
  }
}

// SPDX-License-Identifier: Apache-2.0
// The verbs of lbctl. Each file of verbs describes its options to CLI11 and leaves behind what is to be done.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "tools/lbctl/client.hpp"
#include "tools/lbctl/outcome.hpp"

namespace weir::lbctl {

/// What the verb on the command line does; its text goes to stdout.
using Action = std::function<Outcome<std::string>(const Client&)>;

/// Options that mutating verbs share.
struct Safety {
  bool dry_run = false;
  bool force = false;
  [[nodiscard]] std::string query_string() const;
};

/// Options of verbs that show something.
struct Form {
  std::string output = "table";
  bool no_headers = false;
  [[nodiscard]] bool json() const { return output == "json"; }
};

/// A verb with one example in its help.
CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example);
void add_safety(CLI::App& verb, Safety& safety);
void add_output(CLI::App& verb, Form& form);
void add_list_options(CLI::App& verb, Form& form);  ///< -o and --no-headers

void add_service_verbs(CLI::App& app, Action& action);
void add_backend_verbs(CLI::App& app, Action& action);
void add_daemon_verbs(CLI::App& app, Action& action);  ///< status, version, stats, detach, export, apply, diff
void add_conn_verbs(CLI::App& app, Action& action);
void add_trace_verb(CLI::App& app, Action& action);

/// A check for CLI11: the fault of `text`, or "".
[[nodiscard]] std::string not_empty(const std::string& text);

/// The same for text that has to name a backend, SERVICE/NAME, and for a duration.
[[nodiscard]] std::string backend_fault(const std::string& text);
[[nodiscard]] std::string duration_fault(const std::string& text);
/// Seconds of text that duration_fault() has found right.
[[nodiscard]] unsigned seconds(const std::string& text);

/// "/v1/services/web/backends/b1" of text that backend_fault() has found right.
[[nodiscard]] std::string backend_path(const std::string& object);
/// "/v1/services/web", the name percent-encoded.
[[nodiscard]] std::string service_path(const std::string& service);
/// The number that `text` writes, for lbd to judge; anything else as a string, which lbd will name in its refusal.
[[nodiscard]] nlohmann::json as_number(const std::string& text);
[[nodiscard]] std::string pretty(const nlohmann::json& document);

// Fields of lbd's documents as table cells; "" when absent.
[[nodiscard]] std::string cell(const nlohmann::json& object, const char* field);
[[nodiscard]] std::string yes_no(const nlohmann::json& object, const char* field);

/// SERVICE NAME ADDRESS WEIGHT ADMIN ROWS% NEXT-HOP PACKETS BYTES CONNS over the backends of `services`.
[[nodiscard]] std::string backend_table(const nlohmann::json& services, bool headers);

}  // namespace weir::lbctl

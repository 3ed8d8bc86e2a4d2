// SPDX-License-Identifier: Apache-2.0
// lb-decap: on a backend, takes the tunnels of modes ipip and gue apart where the kernel has no device for them.
#include <net/if.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <map>

#include "bpf/decap.hpp"
#include "tools/decap/report.hpp"
#include "tools/decap/settings.hpp"

namespace {

using namespace weir;
using bpf::failure;
using Text = bpf::Outcome<std::string>;

constexpr int failed = 1, usage = 2;

struct Options {
  std::string interface;
  std::string pin_dir = "/sys/fs/bpf/weir-decap";
  std::vector<std::string> from;
  std::vector<std::string> to;
  u16 gue_port = 6080;
  std::string mode = "automatic";
  std::string output = "table";
};

Text attach(const Options& options) {
  const u32 ifindex = if_nametoindex(options.interface.c_str());
  if (ifindex == 0) return failure("there is no interface {}; see: ip link", options.interface);
  const auto settings = decap::settings_from(options.from, options.to, options.gue_port, options.interface);
  if (!settings) return tl::unexpected(settings.error());
  const std::map<std::string, bpf::AttachPolicy> policies{{"automatic", bpf::AttachPolicy::native_else_generic},
                                                          {"native", bpf::AttachPolicy::native_only},
                                                          {"generic", bpf::AttachPolicy::generic_only}};
  const auto done =
      bpf::attach_decap(*settings, options.interface, ifindex, policies.at(options.mode), options.pin_dir);
  if (!done) return tl::unexpected(done.error());
  if (!done->warning.empty()) fmt::print(stderr, "lb-decap: {}\n", done->warning);
  return fmt::format("{} attached {}\n", options.interface,
                     done->mode == bpf::AttachMode::native ? "native" : "generic");
}

Text detach(const Options& options) {
  const auto removed = bpf::detach_decap(options.interface, options.pin_dir);
  if (!removed) return tl::unexpected(removed.error());
  if (*removed) return fmt::format("{} detached\n", options.interface);
  if (if_nametoindex(options.interface.c_str()) == 0)
    return failure("there is no interface {}, and nothing of it in {}", options.interface, options.pin_dir);
  return "no change\n";
}

Text status(const Options& options) {
  const auto states = bpf::decap_states(options.pin_dir);
  if (!states) return tl::unexpected(states.error());
  return options.output == "json" ? decap::as_json(*states) : decap::as_text(*states);
}

int complain(int code, const std::string& why) {
  fmt::print(stderr, "lb-decap: {}\n", why);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Unwraps Weir's tunnels on a backend.", "lb-decap");
  app.fallthrough();
  app.require_subcommand(1);
  app.set_version_flag("--version", "lb-decap " WEIR_VERSION);
  app.add_option("--pin-dir", options.pin_dir, "Where links and counters are pinned")->capture_default_str();
  app.footer("Exit codes: 0 done, 1 failed, 2 usage.\nExample:\n  lb-decap attach eth0 --from 198.18.0.0/16\n");

  auto* attach_verb = app.add_subcommand("attach", "Unwrap on an interface; again: replace the settings in one step");
  attach_verb->add_option("INTERFACE", options.interface)->required();
  attach_verb->add_option("--from", options.from, "Prefixes that tunnel packets may come from")->required();
  attach_verb->add_option("--to", options.to, "This host's tunnel addresses (default: those of INTERFACE now)");
  attach_verb->add_option("--gue-port", options.gue_port, "UDP port of GUE")
      ->check(CLI::Range(1U, 65535U))
      ->capture_default_str();
  attach_verb->add_option("--mode", options.mode, "How to attach")
      ->check(CLI::IsMember({"automatic", "native", "generic"}))
      ->capture_default_str();
  auto* detach_verb = app.add_subcommand("detach", "Stop unwrapping on an interface");
  detach_verb->add_option("INTERFACE", options.interface)->required();
  auto* status_verb = app.add_subcommand("status", "What is attached where, and what became of the packets");
  status_verb->add_option("-o,--output", options.output)
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    return complain(usage, fmt::format("{} (see lb-decap --help)", error.what()));
  }
  const Text text = attach_verb->parsed() ? attach(options) : detach_verb->parsed() ? detach(options) : status(options);
  if (!text) return complain(failed, text.error());
  const bool written = std::fputs(text->c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? 0 : complain(failed, "standard output cannot be written");
}

// SPDX-License-Identifier: Apache-2.0
// lbd, the control-plane daemon: options, compose, run, stop.
#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>

#include "control/api/server.hpp"
#include "control/daemon/check.hpp"
#include "control/daemon/daemon.hpp"
#include "control/daemon/directory_lock.hpp"
#include "control/daemon/report.hpp"
#include "control/store/seed_file.hpp"

namespace {

using namespace weir;

struct Options {
  std::string config = "/etc/weir/lb.toml";
  std::string socket = "/run/weir/lbd.sock";
  std::string state_dir = "/var/lib/weir";
  std::string pin_dir = "/sys/fs/bpf/weir";
  bool check = false;
  bool detach = false;
};

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file)
    return fail(Fault::invalid, "cannot read the configuration file {}: {}; name another with --config", path,
                std::strerror(errno));
  return text;
}

Result<> serve(const Options& options) {
  const auto text = read_file(options.config);
  if (!text) return tl::unexpected(text.error());
  auto configuration = config::parse(*text, options.config);
  if (!configuration) return tl::unexpected(configuration.error());
  const model::Settings settings = configuration->settings;

  daemon::Desired desired(*text, std::move(*configuration), options.state_dir);
  auto plan = desired.start();
  if (!plan) return tl::unexpected(plan.error());
  boost::asio::io_context loop;
  if (options.check) return daemon::check_host(loop, settings, desired, *plan);

  if (auto allowed = daemon::may_run(options.pin_dir); !allowed) return allowed;
  if (auto free = daemon::nobody_serves(options.socket); !free) return free;
  const auto held = daemon::DirectoryLock::of_state(options.state_dir);
  if (!held) return tl::unexpected(held.error());
  auto seed =
      settings.seed ? Result<model::Seed>(*settings.seed) : store::load_or_create_seed(options.state_dir + "/seed");
  if (!seed) return tl::unexpected(seed.error());
  const auto pins = daemon::DirectoryLock::of_pins(options.pin_dir);
  if (!pins) return tl::unexpected(pins.error());
  auto fast_path = daemon::FastPath::open(loop, settings, *seed, options.pin_dir);
  if (!fast_path) {
    ::rmdir(options.pin_dir.c_str());  // succeeds where it is this start that made it
    return tl::unexpected(fast_path.error());
  }

  std::unique_ptr<api::Server> server;
  std::unique_ptr<api::Server> metrics;
  daemon::Daemon daemon(loop, desired, **fast_path, options.config, [&] { server->stop([&] { loop.stop(); }); });
  // What can fail without touching traffic comes first; nobody is answered before the loop runs.
  const auto start = [&]() -> Result<> {
    auto listening = api::Server::listen(loop, daemon, options.socket);
    if (!listening) return tl::unexpected(listening.error());
    server = std::move(*listening);
    if (!settings.metrics_listen.empty()) {
      auto exporter = api::Server::listen_metrics(loop, daemon, settings.metrics_listen);
      if (!exporter) return tl::unexpected(exporter.error());
      metrics = std::move(*exporter);
    }
    daemon.take_over(*plan);
    if (auto published = (*fast_path)->publish(*plan); !published) return published;
    desired.commit(*plan);
    auto live = (*fast_path)->go_live();
    if (live) daemon.start();
    return live;
  };
  if (auto started = start(); !started) {
    if (!(*fast_path)->adopted()) static_cast<void>((*fast_path)->remove());
    return started;
  }

  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int) {
    fmt::print(stderr, "lbd: stopping; the fast path keeps running\n");
    server->stop([&] { loop.stop(); });
  });
  // Not before neighbours have had the time to answer: at once, every backend would still be unresolved.
  boost::asio::steady_timer settled(loop, std::chrono::seconds(5));
  settled.async_wait([&](const boost::system::error_code& error) {
    if (error) return;
    for (const std::string& warning : daemon::present_warnings(desired, **fast_path))
      fmt::print(stderr, "lbd: WARNING: {}\n", warning);
  });
  fmt::print(stderr, "lbd: ready, {} services, {} fast path\n", desired.pool().services().size(),
             (*fast_path)->adopted() ? "took over the running" : "started a new");
  sd_notify(0, "READY=1");
  loop.run();
  sd_notify(0, "STOPPING=1");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"lbd, the control plane of the Weir load balancer"};
  app.add_option("--config", options.config, "configuration file")->capture_default_str();
  app.add_option("--socket", options.socket, "Unix socket of the API")->capture_default_str();
  app.add_option("--state-dir", options.state_dir, "where runtime changes are kept")->capture_default_str();
  app.add_option("--pin-dir", options.pin_dir, "where the fast path is pinned, in a BPF file system")
      ->capture_default_str();
  app.add_flag("--check", options.check, "check the configuration and what it names on this host; change nothing");
  app.add_flag("--detach", options.detach, "remove a fast path that an earlier lbd left running; change nothing else");
  app.set_version_flag("--version", "lbd " WEIR_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const auto done = options.detach ? daemon::detach_without_daemon(options.pin_dir) : serve(options);
  if (!done) {
    fmt::print(stderr, "lbd: {}\n", done.error().message);
    return 1;
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "bpf/features.hpp"
#include "bpf/links.hpp"
#include "control/api/socket_file.hpp"
#include "control/daemon/directory_lock.hpp"
#include "control/daemon/reachability.hpp"
#include "control/net/watcher.hpp"

namespace weir::daemon {
namespace {

/// What `--check` has to find out, and what it found.
struct Findings {
  std::size_t outstanding = 0;
  std::vector<std::string> faults;
};

void check_backend(net::Watcher& watcher, const model::Settings& settings, const model::Service& service,
                   const model::Backend& backend, const std::shared_ptr<Findings>& findings,
                   boost::asio::io_context& loop) {
  ++findings->outstanding;
  const std::string name = service.name + "/" + backend.name;
  watcher.resolve(backend.endpoint.address, resolve_timeout_ms,
                  [&settings, &loop, findings, name, mode = service.mode,
                   address = backend.endpoint.address](const net::NextHop& hop) {
                    const auto& names = settings.interfaces;
                    const bool attached = std::find(names.begin(), names.end(), hop.interface) != names.end();
                    if (const auto fine = judge_hop(address, mode, hop, attached); !fine)
                      findings->faults.push_back(fmt::format("{}: {}", name, fine.error().message));
                    if (--findings->outstanding == 0) loop.stop();
                  });
}

}  // namespace

Result<> may_run(const std::string& pin_dir) {
  const auto host = bpf::check_host(std::filesystem::path(pin_dir).parent_path());
  if (!host) return fail(Fault::internal, "{}", host.error());
  return {};
}

Result<> nobody_serves(const std::string& socket) { return api::make_room(socket); }

Result<> check_host(boost::asio::io_context& loop, const model::Settings& settings, const Desired& desired,
                    const model::Plan& plan) {
  auto watcher = net::Watcher::open(loop, {});
  if (!watcher) return tl::unexpected(watcher.error());
  const auto findings = std::make_shared<Findings>();
  for (const std::string& name : settings.interfaces)
    if (!(*watcher)->link(name))
      findings->faults.push_back(
          fmt::format("interface \"{}\" does not exist; `ip link` lists those that do: correct `interfaces`", name));
  std::size_t backends = 0;
  for (const model::Step& step : plan.steps) {
    if (!step.after) continue;
    for (const model::Backend& backend : step.after->backends) {
      ++backends;
      check_backend(**watcher, settings, *step.after, backend, findings, loop);
    }
  }
  if (findings->outstanding > 0) loop.run();
  for (const std::string& warning : desired.warnings()) fmt::print(stderr, "lbd: WARNING: {}\n", warning);
  if (findings->faults.empty()) {
    fmt::print("lbd: {} services with {} backends: no fault found\n", plan.steps.size(), backends);
    return {};
  }
  std::string all = fmt::format("{} faults:", findings->faults.size());
  for (const std::string& fault : findings->faults) all += "\n  " + fault;
  return fail(Fault::invalid, "{}", all);
}

Result<> detach_without_daemon(const std::string& pin_dir) {
  if (std::filesystem::exists(pin_dir))
    if (auto held = DirectoryLock::of_pins(pin_dir); !held) return tl::unexpected(held.error());
  const auto removed = bpf::remove_all(pin_dir);
  if (!removed) return fail(Fault::internal, "{}", removed.error());
  boost::asio::io_context loop;
  auto watcher = net::Watcher::open(loop, {});
  if (!watcher) return tl::unexpected(watcher.error());
  if (auto forgotten = (*watcher)->forget(); !forgotten) return tl::unexpected(forgotten.error());
  fmt::print("lbd: {}\n", *removed ? "removed the fast path from " + pin_dir : "there was no fast path in " + pin_dir);
  return {};
}

}  // namespace weir::daemon

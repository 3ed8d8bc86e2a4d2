// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/fast_path.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

#include "control/daemon/mtu_warnings.hpp"
#include "control/daemon/reachability.hpp"
#include "control/flows/sweep.hpp"
#include "control/model/text.hpp"
#include "control/table/ports.hpp"
#include "control/table/records.hpp"
#include "control/table/tunnel.hpp"

namespace weir::daemon {
namespace {

void log(const std::string& line) { fmt::print(stderr, "lbd: {}\n", line); }

template <class T>
Result<T> as_result(bpf::Outcome<T> outcome) {
  if (!outcome) return fail(Fault::internal, "{}", outcome.error());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return std::move(*outcome);
}

bpf::AttachPolicy policy_of(model::Attach attach) {
  switch (attach) {
    case model::Attach::native:
      return bpf::AttachPolicy::native_only;
    case model::Attach::generic:
      return bpf::AttachPolicy::generic_only;
    case model::Attach::automatic:
      break;
  }
  return bpf::AttachPolicy::native_else_generic;
}

bool forwarding_is_off(const std::string& interface, bool v6) {
  std::ifstream file(fmt::format("/proc/sys/net/{}/conf/{}/forwarding", v6 ? "ipv6" : "ipv4", interface));
  int value = 1;
  file >> value;
  return value == 0;
}

using Endpoints = std::vector<Ip>;
Endpoints backends_of(const std::shared_ptr<const model::Service>& service) {
  Endpoints addresses;
  if (service)
    for (const model::Backend& b : service->backends) addresses.push_back(b.endpoint.address);
  return addresses;
}

}  // namespace

FastPath::FastPath(boost::asio::io_context& loop, model::Settings settings, std::string pin_dir)
    : loop_(loop), settings_(std::move(settings)), pin_dir_(std::move(pin_dir)), events_(loop) {}
FastPath::~FastPath() = default;

Result<std::unique_ptr<FastPath>> FastPath::open(boost::asio::io_context& loop, const model::Settings& settings,
                                                 const model::Seed& seed, const std::string& pin_dir) {
  std::unique_ptr<FastPath> self(new FastPath(loop, settings, pin_dir));
  auto watcher = net::Watcher::open(
      loop,
      {.hop_changed = [p = self.get()](const Ip& target,
                                       const net::NextHop& hop) { p->publisher_->set_hop(target, p->hop_of(hop)); },
       .link_changed = [p = self.get()](const net::Link& link) { p->on_link(link); },
       .address_changed = [p = self.get()](const Ip& address,
                                           bool present) { p->publisher_->set_local(address, present); },
       .warning = log});
  if (!watcher) return tl::unexpected(watcher.error());
  self->watcher_ = std::move(*watcher);
  // A first start with a missing interface is a mistake in the file. A restart is not: the others carry traffic, and
  // the missing one is entered when it comes back.
  const bool running = !bpf::attached_interfaces(pin_dir).empty();
  std::vector<Interface> missing;
  for (const std::string& name : settings.interfaces) {
    if (self->watcher_->link(name))
      self->interfaces_.push_back({.name = name});
    else if (running)
      missing.push_back({.name = name, .warning = fmt::format("interface {} does not exist", name)});
    else
      return fail(Fault::invalid,
                  "interface \"{}\" does not exist; `ip link` lists those that do: correct `interfaces`", name);
  }
  if (auto opened = self->open_engine(seed); !opened) return tl::unexpected(opened.error());
  self->interfaces_.insert(self->interfaces_.end(), missing.begin(), missing.end());
  return self;
}

Result<> FastPath::open_engine(const model::Seed& seed) {
  const model::Limits& limits = settings_.limits;
  auto engine = as_result(bpf::Engine::load({pin_dir_, sizes_for(limits.services, limits.backends, limits.rows),
                                             flow_sizes_for(limits.flows, limits.embryos)}));
  if (!engine) return tl::unexpected(engine.error());
  engine_ = std::move(*engine);
  const FlowKeys keys = table::flow_keys(seed);
  if (!engine_->adopted()) {
    initialise(engine_->memory(), keys);
  } else if (std::memcmp(&engine_->memory().globals->keys, &keys, sizeof keys) != 0) {
    return fail(Fault::invalid,
                "the running fast path in {} hashes with another seed: every flow would move; restore the seed, or "
                "remove the fast path first: lbd --detach",
                pin_dir_);
  }
  publisher_ = std::make_unique<table::Publisher>(
      engine_->memory(), seed,
      table::Surroundings{.hop_of =
                              [this](const Ip& address) {
                                const auto hop = watcher_->current(address);
                                return hop ? hop_of(*hop) : table::Hop{};
                              },
                          .is_local = [this](const Ip& address) { return watcher_->is_local(address); },
                          .service_given = [this](u32 id) { engine_->counting().reset_service(id); },
                          .backend_given = [this](u32 id) { engine_->counting().reset_backend(id); },
                          .hop_needed =
                              [this](const Ip& address, bool needed) {
                                if (needed)
                                  watcher_->watch(address);
                                else
                                  watcher_->unwatch(address);
                              },
                          .sweep =
                              [this] {
                                return flows::sweep(engine_->flows(), engine_->memory(), present_tick(),
                                                    publisher_->unsettled());
                              }});
  for (Interface& interface : interfaces_)
    if (auto entered = enter(interface, *watcher_->link(interface.name)); !entered) return entered;
  table::write_tunnel(engine_->memory(), settings_.tunnel);
  store_once(engine_->memory().globals->icmp_rate, settings_.icmp_rate);
  resets_ = std::make_unique<Resets>(loop_, *engine_);
  events_.assign(::dup(engine_->event_fd()));
  wait_for_events();
  return {};
}

Result<> FastPath::enter(Interface& interface, const net::Link& link) {
  const u32 ifindex = static_cast<u32>(link.ifindex);
  const u32 index = port_index(ifindex);
  for (const Interface& other : interfaces_)
    if (&other != &interface && other.ifindex != 0 && port_index(static_cast<u32>(other.ifindex)) == index)
      return fail(Fault::invalid, "interfaces {} and {} have indexes {} and {}, equal modulo {}: recreate one of them",
                  other.name, interface.name, other.ifindex, ifindex, port_count);
  interface.ifindex = link.ifindex;
  table::enter_port(engine_->memory(), ifindex, link.mac);
  return as_result(engine_->add_device(index, ifindex));
}

Result<> FastPath::attach(Interface& interface) {
  auto attached = as_result(bpf::attach(engine_->program_fd(), interface.name, static_cast<u32>(interface.ifindex),
                                        policy_of(settings_.attach), pin_dir_));
  if (!attached) return tl::unexpected(attached.error());
  interface.attached = true;
  interface.mode = attached->mode;
  interface.warning = attached->warning;
  if (!interface.warning.empty()) log("WARNING: " + interface.warning);
  return {};
}

Result<> FastPath::go_live() {
  std::vector<std::string> fresh;
  const std::vector<std::string> pinned = bpf::attached_interfaces(pin_dir_);
  for (Interface& interface : interfaces_) {
    if (interface.ifindex == 0) continue;
    if (std::find(pinned.begin(), pinned.end(), interface.name) == pinned.end()) fresh.push_back(interface.name);
    if (auto attached = attach(interface); !attached) {
      // A start that fails leaves the host as it was: without the links that this start has made.
      for (const std::string& made : fresh) bpf::detach(made, pin_dir_);
      return attached;
    }
  }
  if (auto finished = as_result(engine_->finish_upgrade()); !finished) return finished;
  if (const u32 former = engine_->upgraded_from(); former != 0)
    log(fmt::format("took over tables of layout version {}, now {}", former, layout_version));
  publisher_->settle();
  const auto configured = [&](const std::string& name) {
    return std::any_of(interfaces_.begin(), interfaces_.end(), [&](const Interface& i) { return i.name == name; });
  };
  for (const std::string& name : pinned)
    if (!configured(name)) bpf::detach(name, pin_dir_);
  std::vector<u32> present;
  for (const Interface& interface : interfaces_) present.push_back(static_cast<u32>(interface.ifindex));
  for (const u32 ifindex : table::stale_ports(engine_->memory(), present)) leave(ifindex);
  live_ = true;
  return {};
}

void FastPath::leave(u32 ifindex) {
  table::leave_port(engine_->memory(), ifindex);
  engine_->remove_device(port_index(ifindex));
}

Result<> FastPath::publish(const model::Plan& plan) {
  for (const model::Step& step : plan.steps)
    for (const Ip& address : backends_of(step.after)) watcher_->watch(address);
  if (auto applied = publisher_->apply(plan); !applied) {
    for (const model::Step& step : plan.steps)
      for (const Ip& address : backends_of(step.after)) watcher_->unwatch(address);
    return applied;
  }
  for (const model::Step& step : plan.steps) {
    for (const Ip& address : backends_of(step.before)) watcher_->unwatch(address);
    // What was taken over from an earlier daemon carries that daemon's knowledge.
    for (const Ip& address : backends_of(step.after))
      if (const auto hop = watcher_->current(address); hop && !live_) publisher_->set_hop(address, hop_of(*hop));
    if (step.after && !live_)
      publisher_->set_local(step.after->vip.address, watcher_->is_local(step.after->vip.address));
  }
  return {};
}

Result<> FastPath::remove() {
  if (auto removed = as_result(bpf::remove_all(pin_dir_)); !removed) return tl::unexpected(removed.error());
  for (Interface& interface : interfaces_) interface.attached = false;
  if (auto forgotten = watcher_->forget(); !forgotten) return tl::unexpected(forgotten.error());
  return {};
}

const Interface* FastPath::attached_to(int ifindex) const {
  for (const Interface& interface : interfaces_)
    if (interface.ifindex == ifindex && ifindex != 0) return &interface;
  return nullptr;
}

table::Hop FastPath::hop_of(const net::NextHop& hop) const {
  if (hop.state != net::HopState::resolved || !attached_to(hop.ifindex)) return {0, hop.mtu};
  return {hop_word(hop.mac, port_index(static_cast<u32>(hop.ifindex))), hop.mtu};
}

void FastPath::check_reachable(const Ip& backend, Mode mode, std::function<void(Result<>)> done) {
  watcher_->resolve(backend, resolve_timeout_ms,
                    [this, backend, mode, done = std::move(done)](const net::NextHop& hop) {
                      done(judge_hop(backend, mode, hop, attached_to(hop.ifindex) != nullptr));
                    });
}

Result<> FastPath::reachable_now(const Ip& backend, Mode mode) const {
  const auto hop = watcher_->current(backend);
  return hop ? judge_hop(backend, mode, *hop, attached_to(hop->ifindex) != nullptr) : Result<>{};
}

void FastPath::on_link(const net::Link& link) {
  for (Interface& interface : interfaces_) {
    if (interface.name != link.name && interface.ifindex != link.ifindex) continue;
    const auto present = watcher_->link(interface.name);
    if (interface.ifindex != 0 && (!present || present->ifindex != interface.ifindex)) {
      log(fmt::format("WARNING: interface {} has disappeared", interface.name));
      leave(static_cast<u32>(interface.ifindex));
      interface = {.name = interface.name, .warning = fmt::format("interface {} does not exist", interface.name)};
    }
    if (!present) continue;
    auto entered = enter(interface, *present);
    if (entered && !interface.attached && live_) entered = attach(interface);
    if (!entered) {
      interface.warning = entered.error().message;
      log("WARNING: " + entered.error().message);
    }
  }
}

void FastPath::wait_for_events() {
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    engine_->drain_events(
        [this](const UnresolvedEvent& event) { watcher_->nudge(event.neighbor, static_cast<int>(event.ifindex)); });
    wait_for_events();
  });
}

std::vector<std::string> FastPath::warnings() const {
  std::vector<std::string> all = tunnel_mtu_warnings(engine_->memory());
  bool nat[2] = {false, false};  // IPv4, IPv6
  for (const Backend& backend : engine_->memory().backends)
    if (backend.in_use != 0 && backend.mode == Mode::nat) nat[is_v4(backend.address) ? 0 : 1] = true;
  for (const Interface& interface : interfaces_) {
    if (!interface.warning.empty()) all.push_back(interface.warning);
    if (const auto link = watcher_->link(interface.ifindex))
      if (std::string warning = link_mtu_warning(*link); !warning.empty()) all.push_back(std::move(warning));
    for (const bool v6 : {false, true})
      if (nat[v6 ? 1 : 0] && interface.ifindex != 0 && forwarding_is_off(interface.name, v6))
        all.push_back(fmt::format("mode nat needs the kernel's forwarding on {}: sysctl -w net.{}.conf.{}.forwarding=1",
                                  interface.name, v6 ? "ipv6" : "ipv4", interface.name));
  }
  return all;
}

}  // namespace weir::daemon

// SPDX-License-Identifier: Apache-2.0
// The fast path as the daemon holds it: the engine, the tables, the interfaces, and the next hops that keep them true.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bpf/links.hpp"
#include "bpf/loader.hpp"
#include "control/daemon/resets.hpp"
#include "control/model/settings.hpp"
#include "control/net/watcher.hpp"
#include "control/table/publisher.hpp"

namespace weir::daemon {

/// One interface that carries balanced traffic.
struct Interface {
  std::string name;
  int ifindex = 0;  ///< 0 while there is no such interface
  bool attached = false;
  bpf::AttachMode mode = bpf::AttachMode::native;
  std::string warning;
};

class FastPath {
 public:
  /// Loads or takes over the engine and reads the host's interfaces. Nothing is attached yet. Faults: invalid (an
  /// interface does not exist, and no fast path runs that could go on without it), internal.
  static Result<std::unique_ptr<FastPath>> open(boost::asio::io_context& loop, const model::Settings& settings,
                                                const model::Seed& seed, const std::string& pin_dir);
  ~FastPath();

  /// Publishes a plan: watches the next hops of what is new, stores the tables, forgets what is gone.
  Result<> publish(const model::Plan& plan);
  /// After the first plan: drops what an earlier daemon had published beyond it, then lets traffic in.
  Result<> go_live();
  /// Takes the program off every interface and removes all pins and the neighbour entries that Weir caused.
  Result<> remove();

  /// Whether a backend can be reached in `mode`, now or within a few seconds; the reason when not.
  void check_reachable(const Ip& backend, Mode mode, std::function<void(Result<>)> done);

  /// The same judgement on what is known this moment. Addresses that are not a published backend's are "reachable".
  [[nodiscard]] Result<> reachable_now(const Ip& backend, Mode mode) const;

  [[nodiscard]] TableMemory& memory() { return engine_->memory(); }
  [[nodiscard]] FlowMemory& flows() { return engine_->flows(); }
  [[nodiscard]] table::Publisher& publisher() { return *publisher_; }
  [[nodiscard]] const table::Publisher& publisher() const { return *publisher_; }
  [[nodiscard]] bpf::Counting& counting() { return engine_->counting(); }
  [[nodiscard]] net::Watcher& watcher() { return *watcher_; }
  [[nodiscard]] const std::vector<Interface>& interfaces() const { return interfaces_; }
  [[nodiscard]] std::vector<std::string> warnings() const;
  [[nodiscard]] bool adopted() const { return engine_->adopted(); }

 private:
  FastPath(boost::asio::io_context& loop, model::Settings settings, std::string pin_dir);
  Result<> open_engine(const model::Seed& seed);
  Result<> enter(Interface& interface, const net::Link& link);
  Result<> attach(Interface& interface);
  void leave(u32 ifindex);
  [[nodiscard]] table::Hop hop_of(const net::NextHop& hop) const;
  [[nodiscard]] const Interface* attached_to(int ifindex) const;
  void on_link(const net::Link& link);
  void wait_for_events();

  boost::asio::io_context& loop_;
  model::Settings settings_;
  std::string pin_dir_;
  std::unique_ptr<bpf::Engine> engine_;
  std::unique_ptr<net::Watcher> watcher_;
  std::unique_ptr<table::Publisher> publisher_;
  std::vector<Interface> interfaces_;
  std::unique_ptr<Resets> resets_;
  boost::asio::posix::stream_descriptor events_;
  bool live_ = false;
};

}  // namespace weir::daemon

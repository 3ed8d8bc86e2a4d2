// SPDX-License-Identifier: Apache-2.0
// Two network namespaces joined by a veth pair, and a Watcher in the first; the test process moves into it.
//
//   host: a0 198.51.100.1/24 2001:db8:1::1/64  ────────  peer: b0 198.51.100.2/24 2001:db8:1::2/64
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/net/watcher.hpp"

namespace weir::net {

[[nodiscard]] Ip ip(const char* text);

class Bed {
 public:
  Bed();
  ~Bed();
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  /// Runs `ip ARGUMENTS` in the namespace; throws when it fails.
  void host(const std::string& arguments) const;
  void peer(const std::string& arguments) const;
  /// Feeds lines to `ip -batch` in the host's namespace.
  void host_batch(const std::string& lines) const;
  /// Sets /proc/sys/net/PATH in the namespace.
  void host_sysctl(const std::string& path, const std::string& value) const;
  void peer_sysctl(const std::string& path, const std::string& value) const;
  [[nodiscard]] std::string host_output(const std::string& arguments) const;

  /// Opens the watcher; what is configured before is its starting state.
  Watcher& open();
  void close() { watcher_.reset(); }
  [[nodiscard]] Watcher& watcher() { return *watcher_; }

  /// Runs the event loop until `holds` or the time is over; says whether it holds.
  bool until(const std::function<bool()>& holds, int timeout_ms = 2000);
  void run(int milliseconds);
  /// Asks for `target` and runs until the answer.
  NextHop resolve(const char* target, int timeout_ms = 6000);
  /// Was `target` reported in `state` since the marks were cleared? With `mac` != 0, with that MAC.
  [[nodiscard]] bool reported(const char* target, HopState state, MacBits mac = 0) const;

  boost::asio::io_context loop;
  std::vector<std::pair<Ip, NextHop>> hops;
  std::vector<Link> links;
  std::vector<std::pair<Ip, bool>> addresses;
  std::vector<std::string> warnings;

 private:
  std::string host_;
  std::string peer_;
  int home_ = -1;
  std::unique_ptr<Watcher> watcher_;
};

inline constexpr MacBits host_mac = 0x01'00'00'00'00'02ULL;        // 02:00:00:00:00:01
inline constexpr MacBits peer_mac = 0x02'00'00'00'00'02ULL;        // 02:00:00:00:00:02
inline constexpr MacBits other_peer_mac = 0x99'00'00'00'00'02ULL;  // 02:00:00:00:00:99

}  // namespace weir::net

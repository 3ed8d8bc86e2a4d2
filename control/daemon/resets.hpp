// SPDX-License-Identifier: Apache-2.0
// When the operator ends a flow, the fast path answers the client with a RST. The backend is told here: a RST in the
// client's name goes through the program as if the client had sent it, so it takes the flow's own way in every mode.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <set>
#include <tuple>
#include <vector>

#include "bpf/loader.hpp"

namespace weir::daemon {

/// The frame that carries the RST for a flow to `vip`, addressed to the interface with the MAC `mac`.
[[nodiscard]] std::vector<u8> reset_frame(const EndedFlow& flow, const Ip& vip, MacBits mac);

/// Reads which flows have ended and sends one frame after another, with rests in between, so that it takes a fifth of
/// the loop's time at most: a frame costs the kernel far more than a packet on the wire does. A flow that comes while
/// `limit` wait is left out; its backend learns from the client, whose next packet to it is a RST.
class Resets {
 public:
  static constexpr std::size_t limit = 8192;

  /// `engine` outlives this.
  Resets(boost::asio::io_context& loop, bpf::Engine& engine);

 private:
  using Key = std::tuple<u32, u32, u32, u32, u32, u32>;  // source, ports, service
  static Key key_of(const EndedFlow& flow);
  void wait();
  void enqueue(const EndedFlow& flow);
  void send_next();
  void send(const EndedFlow& flow);

  bpf::Engine& engine_;
  boost::asio::posix::stream_descriptor events_;
  boost::asio::steady_timer rest_;
  std::deque<EndedFlow> waiting_;
  std::set<Key> queued_;  // who is in `waiting_`: a client that sends on is one flow
  bool busy_ = false;
  bool failing_ = false;  // one line says so
};

}  // namespace weir::daemon

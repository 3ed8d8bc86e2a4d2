// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/resets.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "dataplane/core/reset.hpp"

namespace weir::daemon {
namespace {

using Clock = std::chrono::steady_clock;

template <class Header>
std::vector<u8> frame_of(const EndedFlow& flow, Header ip, Be16 type, MacBits mac) {
  const u32 sum = turn_round(ip);  // from the VIP's packet to the client, as addressed below, to the client's own
  Tcp tcp{};
  tcp.source.raw = static_cast<u16>(flow.ports);
  tcp.destination.raw = static_cast<u16>(flow.ports >> 16);
  tcp.sequence.raw = flow.sequence;
  tcp.data_offset = sizeof(Tcp) / 4 << 4;
  tcp.flags = tcp_rst;
  tcp.checksum = Be16{static_cast<u16>(~fold(sum + sum_of(tcp)))};
  Ethernet ethernet{};
  std::memcpy(ethernet.destination, &mac, sizeof ethernet.destination);
  ethernet.type = type;
  std::vector<u8> frame(sizeof ethernet + sizeof ip + sizeof tcp);
  std::memcpy(frame.data(), &ethernet, sizeof ethernet);
  std::memcpy(frame.data() + sizeof ethernet, &ip, sizeof ip);
  std::memcpy(frame.data() + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
  return frame;
}

}  // namespace

std::vector<u8> reset_frame(const EndedFlow& flow, const Ip& vip, MacBits mac) {
  if (is_v4(vip)) {
    Ipv4 ip{};
    ip.source.raw = vip.word[3];
    ip.destination.raw = flow.source.word[3];
    return frame_of(flow, ip, ether_type::ipv4, mac);
  }
  Ipv6 ip{};
  for (u32 i = 0; i < 4; ++i) {
    ip.source[i].raw = vip.word[i];
    ip.destination[i].raw = flow.source.word[i];
  }
  return frame_of(flow, ip, ether_type::ipv6, mac);
}

Resets::Resets(boost::asio::io_context& loop, bpf::Engine& engine)
    : engine_(engine), events_(loop, ::dup(engine.reset_fd())), rest_(loop) {
  wait();
}

void Resets::wait() {
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    engine_.drain_resets([this](const EndedFlow& flow) { enqueue(flow); });
    if (!busy_) send_next();
    wait();
  });
}

Resets::Key Resets::key_of(const EndedFlow& flow) {
  const auto& word = flow.source.word;
  return {word[0], word[1], word[2], word[3], flow.ports, flow.service_id};
}

void Resets::enqueue(const EndedFlow& flow) {
  if (waiting_.size() < limit && queued_.insert(key_of(flow)).second) waiting_.push_back(flow);
}

void Resets::send_next() {
  busy_ = !waiting_.empty();
  if (!busy_) return;
  const EndedFlow flow = waiting_.front();
  waiting_.pop_front();
  queued_.erase(key_of(flow));
  const Clock::time_point began = Clock::now();
  send(flow);
  rest_.expires_after(4 * (Clock::now() - began));
  rest_.async_wait([this](const boost::system::error_code& error) {
    if (!error) send_next();
  });
}

void Resets::send(const EndedFlow& flow) {
  const TableMemory& memory = engine_.memory();
  if (flow.service_id >= memory.services.size() || load_once(memory.services[flow.service_id].in_use) == 0) return;
  const MacBits mac = load_once(memory.ports[port_index(flow.ingress)].mac) & mac_mask;
  const auto sent = engine_.inject(flow.ingress, reset_frame(flow, memory.services[flow.service_id].vip, mac));
  if (!sent && !failing_)
    fmt::print(stderr, "lbd: WARNING: backends are not told of flows that were ended: {}\n", sent.error());
  failing_ = !sent;
}

}  // namespace weir::daemon

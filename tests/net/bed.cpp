// SPDX-License-Identifier: Apache-2.0
#include "tests/net/bed.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace weir::net {

namespace {

std::string run_command(const std::string& command, const std::string& input = {}) {
  const std::string full = input.empty() ? command + " 2>&1" : command + " >/dev/null 2>&1";
  FILE* pipe = popen(full.c_str(), input.empty() ? "r" : "w");
  if (pipe == nullptr) throw std::runtime_error("popen: " + command);
  std::string output;
  if (input.empty()) {
    char buffer[4096];
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, size);
  } else {
    std::fwrite(input.data(), 1, input.size(), pipe);
  }
  if (const int status = pclose(pipe); status != 0)
    throw std::runtime_error(fmt::format("status {}: {}: {}", status, command, output));
  return output;
}

void set_sysctl(const std::string& name, const std::string& path, const std::string& value) {
  run_command(fmt::format("ip netns exec {} sh -c 'echo {} > /proc/sys/net/{}'", name, value, path));
}

void enter(int fd) {
  if (setns(fd, CLONE_NEWNET) != 0) throw std::runtime_error("setns");
}

}  // namespace

Ip ip(const char* text) {
  Be32 v4{};
  if (inet_pton(AF_INET, text, &v4.raw) == 1) return ip_from_v4(v4);
  Ip v6{};
  if (inet_pton(AF_INET6, text, v6.word) != 1) throw std::runtime_error(text);
  return v6;
}

Bed::Bed() : host_(fmt::format("wn{}h", getpid())), peer_(fmt::format("wn{}p", getpid())) {
  home_ = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  run_command("ip netns add " + host_);
  run_command("ip netns add " + peer_);
  // Without this IPv6 is silent for its first two seconds: its link-local address is still being tested.
  for (const std::string& name : {host_, peer_})
    for (const char* devices : {"all", "default"})
      set_sysctl(name, fmt::format("ipv6/conf/{}/accept_dad", devices), "0");
  run_command(
      fmt::format("ip link add a0 netns {} address 02:00:00:00:00:01 type veth peer name b0 netns {} address "
                  "02:00:00:00:00:02",
                  host_, peer_));
  host("link set lo up");
  peer("link set lo up");
  host("link set a0 up");
  peer("link set b0 up");
  host("addr add 198.51.100.1/24 dev a0");
  peer("addr add 198.51.100.2/24 dev b0");
  host("addr add 2001:db8:1::1/64 dev a0 nodad");
  peer("addr add 2001:db8:1::2/64 dev b0 nodad");
  const int fd = ::open(("/run/netns/" + host_).c_str(), O_RDONLY | O_CLOEXEC);
  enter(fd);
  ::close(fd);
}

Bed::~Bed() {
  watcher_.reset();
  enter(home_);
  ::close(home_);
  for (const std::string& name : {host_, peer_}) run_command("ip netns del " + name);
}

void Bed::host(const std::string& arguments) const { run_command(fmt::format("ip -n {} {}", host_, arguments)); }
void Bed::peer(const std::string& arguments) const { run_command(fmt::format("ip -n {} {}", peer_, arguments)); }

void Bed::host_batch(const std::string& lines) const {
  run_command(fmt::format("ip -n {} -force -batch -", host_), lines);
}

void Bed::host_sysctl(const std::string& path, const std::string& value) const { set_sysctl(host_, path, value); }
void Bed::peer_sysctl(const std::string& path, const std::string& value) const { set_sysctl(peer_, path, value); }

std::string Bed::host_output(const std::string& arguments) const {
  return run_command(fmt::format("ip -n {} {}", host_, arguments));
}

Watcher& Bed::open() {
  auto opened =
      Watcher::open(loop, {
                              .hop_changed = [this](const Ip& a, const NextHop& h) { hops.emplace_back(a, h); },
                              .link_changed = [this](const Link& l) { links.push_back(l); },
                              .address_changed = [this](const Ip& a, bool p) { addresses.emplace_back(a, p); },
                              .warning = [this](const std::string& m) { warnings.push_back(m); },
                          });
  if (!opened) throw std::runtime_error(opened.error().message);
  watcher_ = std::move(opened.value());
  return *watcher_;
}

bool Bed::until(const std::function<bool()>& holds, int timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    loop.restart();
    loop.run_one_for(std::chrono::milliseconds(10));
  }
  return true;
}

void Bed::run(int milliseconds) {
  until([] { return false; }, milliseconds);
}

NextHop Bed::resolve(const char* target, int timeout_ms) {
  std::optional<NextHop> answer;
  watcher_->resolve(ip(target), timeout_ms, [&](NextHop hop) { answer = std::move(hop); });
  if (!until([&] { return answer.has_value(); }, timeout_ms + 1000))
    throw std::runtime_error("resolve() did not answer");
  return *answer;
}

bool Bed::reported(const char* target, HopState state, MacBits mac) const {
  for (const auto& [address, hop] : hops)
    if (address == ip(target) && hop.state == state && (mac == 0 || hop.mac == mac)) return true;
  return false;
}

}  // namespace weir::net

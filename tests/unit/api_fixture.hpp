// SPDX-License-Identifier: Apache-2.0
// A server on a temporary socket with scripted operations, and a client that sends and receives plain bytes.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "control/api/server.hpp"

namespace weir::api::test {

/// Answers at once unless told to hold mutations; remembers what it was asked.
class Script : public Operations {
 public:
  void mutate(Request request, Done done) override {
    last = std::move(request);
    ++mutations;
    if (hold)
      held = std::move(done);
    else
      done(outcome);
  }
  Result<model::Replace> parse_config(std::string_view text, const std::string& file_name) override {
    config_size = text.size();
    if (text == "bad") return fail(Fault::invalid, "{}:1:1: no", file_name);
    return model::Replace{};
  }
  nlohmann::json status() override { return {{"pid", 1}}; }
  nlohmann::json services() override { return nlohmann::json::array({{{"name", "web"}}}); }
  Result<nlohmann::json> service(const std::string& name) override {
    if (name != "web") return fail(Fault::not_found, "there is no service \"{}\"", name);
    return nlohmann::json{{"name", name}};
  }
  Result<nlohmann::json> rows(const std::string& service) override { return nlohmann::json{{"service", service}}; }
  nlohmann::json stats() override { throw std::runtime_error("counters are gone"); }
  Result<nlohmann::json> trace(const TraceQuery& query) override {
    traced = query;
    return nlohmann::json{{"verdict", "forwarded"}};
  }
  std::string metrics() override { return "weir_up 1\n"; }
  std::string export_config() override { return "interfaces = []\n"; }
  Result<nlohmann::json> drain_status(const std::string& service, const std::string& backend) override {
    return nlohmann::json{{"service", service}, {"backend", backend}, {"state", "none"}};
  }
  Result<Pieces> conns(const ConnFilter& filter) override {
    filtered = filter;
    if (filter.service == "none") return fail(Fault::not_found, "there is no service \"none\"");
    return [this, at = std::size_t{0}]() mutable -> std::optional<std::string> {
      ++pieces_made;
      if (break_after && pieces_made > *break_after) throw std::runtime_error("the table is gone");
      if (endless) return "";
      if (at == pieces.size()) return std::nullopt;
      return pieces[at++];
    };
  }
  Result<nlohmann::json> conn_count(const ConnFilter& filter) override {
    filtered = filter;
    return nlohmann::json{{"count", 7}};
  }
  Result<nlohmann::json> conn_kill(const ConnFilter& filter) override {
    filtered = filter;
    ++kills;
    return nlohmann::json{{"killed", 7}};
  }
  Result<> detach() override {
    ++detached;
    if (on_detach) on_detach();
    return {};
  }

  bool hold = false;
  Result<model::Plan> outcome = model::Plan{{model::Step{"web", nullptr, nullptr}}, {"web/b1 weight 100 -> 50"}};
  std::optional<Request> last;
  std::optional<TraceQuery> traced;
  std::optional<ConnFilter> filtered;
  std::vector<std::string> pieces;      ///< of the answer to conns
  std::optional<int> break_after = {};  ///< that many pieces conns fails
  bool endless = false;                 ///< conns goes on without finding anything
  int pieces_made = 0;
  int kills = 0;
  Done held;
  int mutations = 0;
  int detached = 0;
  std::size_t config_size = 0;
  std::function<void()> on_detach;
};

struct TemporaryDirectory {
  TemporaryDirectory() {
    char pattern[] = "/tmp/weir-api-XXXXXX";
    path = mkdtemp(pattern);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

/// A non-blocking socket; the event loop is run between its attempts, so that one thread plays both sides.
class Client {
 public:
  Client(boost::asio::io_context& loop, int family, const sockaddr* address, socklen_t size)
      : loop_(loop), fd_(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    connected = connect(fd_, address, size) == 0 || errno == EINPROGRESS;
  }
  ~Client() { hang_up(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Stops early when the server no longer reads.
  void send(std::string_view bytes) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!bytes.empty() && std::chrono::steady_clock::now() < deadline) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n < 0 && errno != EAGAIN) return;
      turn();
    }
  }

  /// One response with its body, "" when the connection ends or nothing comes in time.
  std::string receive(bool has_body = true) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (const std::size_t size = complete(has_body); size != 0) {
        std::string out = pending_.substr(0, size);
        pending_.erase(0, size);
        return out;
      }
      if (!fill()) return "";
    }
    return "";
  }

  /// Everything up to and with `end`, "" when the connection ends or nothing comes in time.
  std::string receive_until(std::string_view end) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (const std::size_t found = pending_.find(end); found != std::string::npos) {
        std::string out = pending_.substr(0, found + end.size());
        pending_.erase(0, found + end.size());
        return out;
      }
      if (!fill()) return "";
    }
    return "";
  }

  /// True when the server has closed its side and nothing unread is left.
  bool closed() {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline)
      if (!fill()) return pending_.empty();
    return false;
  }

  std::string ask(std::string_view bytes) {
    send(bytes);
    return receive();
  }

  void stop_sending() { shutdown(fd_, SHUT_WR); }
  void hang_up() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  bool connected = false;
  std::chrono::milliseconds patience{5000};

 private:
  void turn() {
    loop_.restart();
    int handled = 0;
    while (handled < 100 && loop_.poll_one() != 0) ++handled;  // poll() would not return from work without end
    if (handled == 0) loop_.run_one_for(std::chrono::milliseconds(1));
  }

  bool fill() {
    turn();
    char block[65536];
    const ssize_t n = recv(fd_, block, sizeof block, 0);
    if (n > 0) pending_.append(block, static_cast<std::size_t>(n));
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == ENOTCONN));
  }

  // Bytes of the first response in pending_, 0 while it is incomplete.
  std::size_t complete(bool has_body) const {
    const std::size_t end = pending_.find("\r\n\r\n");
    if (end == std::string::npos) return 0;
    const std::size_t field = pending_.find("Content-Length: ");
    const std::size_t body =
        has_body && field < end ? std::strtoul(pending_.c_str() + field + 16, nullptr, 10) : std::size_t{0};
    return pending_.size() >= end + 4 + body ? end + 4 + body : 0;
  }

  boost::asio::io_context& loop_;
  int fd_;
  std::string pending_;
};

inline sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

struct Bed {
  explicit Bed(Bounds bounds = {}) {
    auto listening = Server::listen(loop, script, path, bounds);
    REQUIRE(listening);
    server = std::move(*listening);
  }

  Client client() {
    const sockaddr_un address = unix_address(path);
    return Client(loop, AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  /// One request on a connection of its own.
  std::string ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return client().ask(
        fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", method, target, body.size(), body));
  }

  TemporaryDirectory directory;
  std::string path = directory.path + "/lbd.sock";
  boost::asio::io_context loop;
  Script script;
  std::unique_ptr<Server> server;
};

inline int status(const std::string& response) {
  return response.starts_with("HTTP/1.1 ") ? std::atoi(response.c_str() + 9) : 0;
}

/// The message of an error document.
inline std::string message(const std::string& response) {
  const auto document = nlohmann::json::parse(response.substr(response.find("\r\n\r\n") + 4), nullptr, false);
  if (document.is_discarded() || !document.contains("error")) return "(no error document) " + response;
  return document["error"]["message"];
}

}  // namespace weir::api::test

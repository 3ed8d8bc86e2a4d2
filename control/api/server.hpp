// SPDX-License-Identifier: Apache-2.0
// The HTTP server, on the daemon's event loop: no thread, no blocking call. One Server is one listening address.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "control/api/operations.hpp"
#include "control/model/result.hpp"

namespace weir::api {

/// What a client may cost the daemon.
struct Bounds {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 64 * 1024 * 1024;  ///< of POST /v1/apply; other bodies are held to 64 KiB
  std::size_t connections = 64;               ///< at once; further ones are answered 503
  std::chrono::milliseconds idle{30'000};     ///< to send a whole request, or to take a whole answer
};

class Server {
 public:
  /// Serves the whole API on the Unix socket `socket_path`, mode 0660. Missing parent directories are created; a socket
  /// that nothing answers on is replaced. Faults: conflict (another daemon answers there), invalid, internal.
  static Result<std::unique_ptr<Server>> listen(boost::asio::io_context& loop, Operations& operations,
                                                const std::string& socket_path, Bounds bounds = {});

  /// Serves GET /metrics and nothing else over TCP; `address` is "127.0.0.1:9464" or "[::1]:9464". Faults: invalid,
  /// conflict (the port is taken), internal.
  static Result<std::unique_ptr<Server>> listen_metrics(boost::asio::io_context& loop, Operations& operations,
                                                        const std::string& address, Bounds bounds = {});

  /// Closes everything at once and removes the socket file. Destroy it before the event loop and before `operations`.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes no new connection or request, removes the socket file, and calls `drained` from the event loop when every
  /// request that had arrived is answered and its answer handed to the kernel, at the latest after `grace`. May be
  /// called from within an operation, whose own answer is then among those that are waited for.
  void stop(std::function<void()> drained, std::chrono::milliseconds grace = std::chrono::milliseconds(2000));

  class Listening;  ///< of one socket family; private to server.cpp

 private:
  explicit Server(std::shared_ptr<Listening> listening);
  std::shared_ptr<Listening> listening_;
};

}  // namespace weir::api

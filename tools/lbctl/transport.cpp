// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/transport.hpp"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>  // Boost 1.74's asio/awaitable.hpp uses std::exchange without including it
#include <vector>

namespace weir::lbctl {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Unix = asio::local::stream_protocol;

namespace {

std::string_view connect_hint(error_code error) {
  if (error == boost::system::errc::no_such_file_or_directory)
    return "there is no such socket; is lbd running? (--socket or WEIR_SOCKET names another one)";
  if (error == boost::system::errc::connection_refused) return "nothing listens there; is lbd running?";
  if (error == boost::system::errc::permission_denied)
    return "permission denied; run as root or join the socket's group";
  return {};
}

// Blocking calls of Asio know no time-out, so each step is started and the loop run until it is over.
class Connection {
 public:
  Connection(const std::string& path, std::chrono::milliseconds timeout) : path_(path), timeout_(timeout) {
    stream_.expires_at(expiry_);
  }

  Outcome<> connect() {
    const error_code error = run([&](auto done) {
      stream_.async_connect(Unix::endpoint(path_), [done](error_code result) { done(result, 0); });
    });
    if (!error) return {};
    if (const auto hint = connect_hint(error); !hint.empty())
      return fail(Exit::unreachable, "lbd cannot be reached on {}: {}", path_, hint);
    return failure(error);
  }

  Outcome<HttpAnswer> send(const http::request<http::string_body>& request, const Sink& sink) {
    changes_ = request.method() != http::verb::get;
    const error_code write_error = run([&](auto done) { http::async_write(stream_, request, done); });
    if (write_error == beast::error::timeout) return failure(write_error);
    // A write can fail because lbd has already refused the request; its answer says why.
    beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // boost::none refuses every body in Boost 1.74
    const error_code header_error = run([&](auto done) { http::async_read_header(stream_, buffer, parser, done); });
    if (header_error) return failure(header_error);
    HttpAnswer answer{parser.get().result_int(), {}};
    std::vector<char> block(piece_size);
    while (!parser.is_done()) {
      parser.get().body() = {block.data(), block.size(), true};
      error_code error = run([&](auto done) { http::async_read_some(stream_, buffer, parser, done); });
      if (error == http::error::need_buffer) error = {};  // the block is full
      const std::string_view bytes(block.data(), block.size() - parser.get().body().size);
      if (sink && answer.status == 200) {
        if (const Outcome<> taken = hand_on(bytes, sink); !taken) return tl::unexpected(taken.error());
      } else {
        answer.body += bytes;
      }
      if (error) return failure(error);
    }
    return answer;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t piece_size = std::size_t{64} * 1024;

  // The time that the sink takes is not lbd's, and each piece that is whole buys another time-out.
  Outcome<> hand_on(std::string_view bytes, const Sink& sink) {
    if (bytes.empty()) return {};
    const auto before = Clock::now();
    Outcome<> taken = sink(bytes);
    const auto after = Clock::now();
    piece_ += bytes.size();
    expiry_ = piece_ < piece_size ? expiry_ + (after - before) : after + timeout_;
    if (piece_ >= piece_size) piece_ = 0;
    stream_.expires_at(expiry_);
    return taken;
  }

  template <class Start>
  error_code run(Start start) {
    error_code outcome;
    start([&outcome](error_code error, std::size_t) { outcome = error; });
    loop_.restart();
    loop_.run();
    return outcome;
  }

  tl::unexpected<Failure> failure(error_code error) const {
    if (error == beast::error::timeout)
      return fail(Exit::timed_out, "lbd on {} has not answered within {} s{}", path_,
                  std::chrono::duration<double>(timeout_).count(),
                  changes_ ? "; what was asked for may still be carried out" : "");
    if (error == http::error::end_of_stream || error == http::error::partial_message)
      return fail(Exit::unreachable, "lbd on {} closed the connection before its answer was complete", path_);
    if (error.category() == http::make_error_code(http::error::bad_method).category())
      return fail(Exit::unreachable, "what listens on {} does not speak HTTP ({}); is it lbd's socket?", path_,
                  error.message());
    return fail(Exit::unreachable, "lbd cannot be reached on {}: {}", path_, error.message());
  }

  const std::string& path_;
  std::chrono::milliseconds timeout_;
  Clock::time_point expiry_ = Clock::now() + timeout_;
  std::size_t piece_ = 0;  // bytes since the sink has last had a whole piece
  bool changes_ = false;
  asio::io_context loop_{1};
  beast::basic_stream<Unix> stream_{loop_};
};

}  // namespace

Outcome<HttpAnswer> exchange(const std::string& socket_path, std::chrono::milliseconds timeout, std::string_view method,
                             const std::string& target, const std::string& body, const Sink& sink) {
  if (socket_path.empty() || socket_path.size() >= sizeof(sockaddr_un{}.sun_path))
    return fail(Exit::unreachable, "socket path \"{}\" has {} bytes; a Unix socket's path has 1..{}", socket_path,
                socket_path.size(), sizeof(sockaddr_un{}.sun_path) - 1);
  Connection connection(socket_path, timeout);
  if (Outcome<> connected = connection.connect(); !connected) return tl::unexpected(connected.error());

  http::request<http::string_body> request;
  request.version(11);
  request.method_string({method.data(), method.size()});
  request.target(target);
  request.set(http::field::host, "lbd");
  request.set(http::field::user_agent, "lbctl/" WEIR_VERSION);
  request.keep_alive(false);
  request.body() = body;
  request.prepare_payload();
  return connection.send(request, sink);
}

}  // namespace weir::lbctl

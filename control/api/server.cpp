// SPDX-License-Identifier: Apache-2.0
// Long because it is the one file of the server that includes Beast, whose headers take most of a minute to compile.
#include "control/api/server.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "control/api/routes.hpp"
#include "control/api/socket_file.hpp"
#include "control/model/text.hpp"

namespace weir::api {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

class Server::Listening {
 public:
  virtual ~Listening() = default;
  virtual void stop(std::function<void()> drained, std::chrono::milliseconds grace) = 0;
  virtual void abort() = 0;
};

namespace {

template <class Protocol>
class Listener;

// Boost 1.74 refuses every body with a Content-Length if the limit is boost::none.
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

http::response<http::string_body> to_http(Answer& answer, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
  response.set(http::field::content_type, answer.type);
  response.set(http::field::cache_control, "no-store");
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  response.keep_alive(keep_alive);
  if (answer.pieces) {
    response.chunked(true);
    return response;
  }
  response.body() = std::move(answer.body);
  response.prepare_payload();
  return response;
}

/// What to tell a client whose bytes could not be read as a request; nothing when there is nobody to tell.
std::optional<Answer> read_failure(error_code error, const Bounds& bounds) {
  if (error == http::error::end_of_stream) return std::nullopt;
  if (error == http::error::header_limit)
    return error_answer(
        431, {Fault::invalid, fmt::format("the request's header is larger than {} bytes", bounds.header_bytes)});
  if (error == http::error::partial_message)
    return error_answer(400, {Fault::invalid, "the connection ended in the middle of a request"});
  if (error.category() == http::make_error_code(http::error::bad_method).category())
    return error_answer(400, {Fault::invalid, fmt::format("this is not an HTTP/1 request: {}", error.message())});
  return std::nullopt;  // timed out or reset: the socket is of no more use
}

Answer too_large(std::size_t limit) {
  return error_answer(413, {Fault::invalid, fmt::format("the request's body is larger than {} bytes", limit)});
}

/// One connection. Alive while it has an operation under way on the loop, or while its listener holds it.
template <class Protocol>
class Session : public std::enable_shared_from_this<Session<Protocol>> {
 public:
  Session(typename Protocol::socket socket, std::shared_ptr<Listener<Protocol>> listener)
      : stream_(std::move(socket)), buffer_(listener->bounds().header_bytes * 2), listener_(std::move(listener)) {}

  void read() {
    if (listener_->stopping()) return end();
    state_ = State::reading;
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(listener_->bounds().header_bytes));
    parser_->body_limit(unlimited);  // the bound is known once the header has named the path
    stream_.expires_after(listener_->bounds().idle);
    http::async_read_header(stream_, buffer_, *parser_, on(&Session::header_read));
  }

  /// Answers without having read a request, then closes.
  void turn_away(Answer value) {
    state_ = State::waiting;
    answer(std::move(value), false);
  }

  /// For an orderly stop: a request that has arrived is still answered.
  void stop() {
    if (state_ == State::reading || state_ == State::lingering) close();
  }

  void close() {
    state_ = State::closed;
    stream_.close();
  }

 private:
  enum class State { reading, waiting, writing, lingering, closed };

  auto on(void (Session::*step)(error_code)) {
    return [self = this->shared_from_this(), step](error_code error, std::size_t) {
      if (self->state_ == State::closed) return self->end();
      (self.get()->*step)(error);
    };
  }

  void header_read(error_code error) {
    if (error) return read_failed(error);
    const auto& request = parser_->get();
    body_limit_ = body_limit({request.target().data(), request.target().size()}, listener_->bounds().body_bytes);
    if (const auto length = parser_->content_length(); length && *length > body_limit_)
      return refuse(too_large(body_limit_));
    parser_->body_limit(body_limit_);
    if (beast::iequals(request[http::field::expect], "100-continue")) {  // curl sends it before a body above 1 MiB
      static constexpr std::string_view proceed = "HTTP/1.1 100 Continue\r\n\r\n";
      return asio::async_write(stream_, asio::buffer(proceed), on(&Session::may_send_body));
    }
    may_send_body({});
  }

  void may_send_body(error_code error) {
    if (error) return end();
    http::async_read(stream_, buffer_, *parser_, on(&Session::body_read));
  }

  void body_read(error_code error) {
    if (error) return read_failed(error);
    state_ = State::waiting;
    stream_.expires_never();  // how long a change takes is for the operation to bound
    auto request = parser_->release();
    keep_alive_ = request.keep_alive();
    knows_chunks_ = request.version() >= 11;
    head_ = request.method() == http::verb::head;
    const Call call{std::string(request.method_string()), std::string(request.target()), std::move(request.body())};
    route(listener_->operations(), listener_->scope(), call, [weak = this->weak_from_this()](Answer value) {
      if (const auto self = weak.lock()) self->answer(std::move(value), self->keep_alive_);
    });
  }

  void read_failed(error_code error) {
    if (error == http::error::body_limit) return refuse(too_large(body_limit_));
    std::optional<Answer> told = read_failure(error, listener_->bounds());
    told ? refuse(std::move(*told)) : end();
  }

  void refuse(Answer value) {
    state_ = State::waiting;
    head_ = false;
    answer(std::move(value), false);
  }

  void answer(Answer value, bool keep_alive) {
    if (state_ != State::waiting) return;
    state_ = State::writing;
    keep_alive_ = keep_alive && !listener_->stopping();
    stream_.expires_after(listener_->bounds().idle);
    if (value.pieces && !knows_chunks_) keep_alive_ = false;  // the end of the body is the end of the connection
    response_ = to_http(value, keep_alive_);
    pieces_ = head_ ? Pieces() : std::move(value.pieces);
    if (pieces_ && !knows_chunks_) response_->chunked(false);
    serializer_.emplace(*response_);
    if (pieces_)
      http::async_write_header(stream_, *serializer_, on(&Session::next_piece));
    else if (head_)
      http::async_write_header(stream_, *serializer_, on(&Session::written));
    else
      http::async_write(stream_, *serializer_, on(&Session::written));
  }

  // Each piece is asked for when the one before is with the kernel, so an answer of any length takes the memory of one
  // piece; and each has its own time-out, so that a client that no longer reads is dropped.
  void next_piece(error_code error) {
    if (error) return end();
    std::optional<std::string> piece;
    try {
      piece = pieces_();
    } catch (const std::exception&) {  // the status has been sent: an answer that breaks off is all that can be said
      return end();
    }
    if (piece && piece->empty())
      return asio::post(stream_.get_executor(), [next = on(&Session::next_piece)] { next({}, 0); });
    stream_.expires_after(listener_->bounds().idle);
    if (!piece) {
      pieces_ = nullptr;
      if (!knows_chunks_) return written({});
      return asio::async_write(stream_, http::make_chunk_last(), on(&Session::written));
    }
    piece_ = std::move(*piece);
    if (knows_chunks_)
      asio::async_write(stream_, http::make_chunk(asio::buffer(piece_)), on(&Session::next_piece));
    else
      asio::async_write(stream_, asio::buffer(piece_), on(&Session::next_piece));
  }

  void written(error_code error) {
    if (error) return end();
    serializer_.reset();
    response_.reset();
    if (keep_alive_ && !listener_->stopping()) return read();
    // A client that is still sending meets a reset instead of its answer if the socket is closed now: listen a while.
    state_ = State::lingering;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, error);
    stream_.expires_after(std::min<std::chrono::milliseconds>(listener_->bounds().idle, std::chrono::seconds(1)));
    if (error || listener_->stopping()) return end();
    linger({});
  }

  void linger(error_code error) {
    if (error) return end();
    stream_.async_read_some(asio::buffer(discarded_), on(&Session::linger));
  }

  void end() {
    pieces_ = nullptr;
    close();
    listener_->ended(this);
  }

  beast::basic_stream<Protocol> stream_;
  beast::flat_buffer buffer_;
  std::shared_ptr<Listener<Protocol>> listener_;
  State state_ = State::reading;
  bool keep_alive_ = false;
  bool head_ = false;          ///< the answer goes without its body
  bool knows_chunks_ = false;  ///< HTTP/1.1
  std::size_t body_limit_ = 0;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  Pieces pieces_;      ///< of the answer that is being sent
  std::string piece_;  ///< the last one
  std::array<char, 4096> discarded_{};
};

template <class Protocol>
class Listener : public Server::Listening, public std::enable_shared_from_this<Listener<Protocol>> {
 public:
  Listener(asio::io_context& loop, Operations& operations, Scope scope, Bounds bounds)
      : loop_(loop), acceptor_(loop), timer_(loop), operations_(operations), scope_(scope), bounds_(bounds) {}

  Result<> open(const typename Protocol::endpoint& endpoint, const std::string& shown, const std::string& path) {
    error_code error;
    const auto failed = [&](const char* what) {
      const Fault fault = error == asio::error::address_in_use ? Fault::conflict : Fault::internal;
      return fail(fault, "{} cannot {}: {}", shown, what, error.message());
    };
    if (acceptor_.open(endpoint.protocol(), error)) return failed("be opened");
    if (path.empty() && acceptor_.set_option(asio::socket_base::reuse_address(true), error)) return failed("be set up");
    if (acceptor_.bind(endpoint, error)) return failed("be bound");
    if (!path.empty()) {
      file_ = SocketFile(path);
      if (chmod(path.c_str(), 0660) != 0) {  // nobody can connect before listen()
        error.assign(errno, boost::system::system_category());
        return failed("be given mode 0660");
      }
    }
    if (acceptor_.listen(asio::socket_base::max_listen_connections, error)) return failed("be listened on");
    accept();
    return {};
  }

  void stop(std::function<void()> drained, std::chrono::milliseconds grace) override {
    drained_ = std::move(drained);
    close_acceptor();
    for (const auto& [key, session] : sessions_) session->stop();
    if (sessions_.empty()) return report_drained();
    timer_.expires_after(grace);
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (error) return;
      for (const auto& [key, session] : self->sessions_) session->close();
      self->report_drained();
    });
  }

  void abort() override {
    drained_ = nullptr;
    close_acceptor();
    for (const auto& [key, session] : sessions_) session->close();
    sessions_.clear();
  }

  void ended(Session<Protocol>* session) {
    sessions_.erase(session);
    if (stopping_ && sessions_.empty()) report_drained();
    if (!stopping_ && !accepting_) accept();
  }

  [[nodiscard]] Operations& operations() const { return operations_; }
  [[nodiscard]] Scope scope() const { return scope_; }
  [[nodiscard]] const Bounds& bounds() const { return bounds_; }
  [[nodiscard]] bool stopping() const { return stopping_; }

 private:
  // Connections above the limit are told so; as many as the limit again may be on their way out at once.
  void accept() {
    accepting_ = sessions_.size() < 2 * bounds_.connections;
    if (!accepting_) return;
    acceptor_.async_accept([self = this->shared_from_this()](error_code error, typename Protocol::socket socket) {
      if (self->stopping_) return;
      if (error) return self->accept_later();
      self->serve(std::move(socket));
      self->accept();
    });
  }

  // Out of file descriptors, for instance: trying again at once would only keep the processor busy.
  void accept_later() {
    timer_.expires_after(std::chrono::milliseconds(100));
    timer_.async_wait([self = this->shared_from_this()](error_code error) {
      if (!error && !self->stopping_) self->accept();
    });
  }

  void serve(typename Protocol::socket socket) {
    const auto session = std::make_shared<Session<Protocol>>(std::move(socket), this->shared_from_this());
    const bool full = sessions_.size() >= bounds_.connections;
    sessions_.emplace(session.get(), session);
    if (!full) return session->read();
    session->turn_away(error_answer(
        503, {Fault::internal, fmt::format("{} connections are open, which is the limit; close one or try again",
                                           bounds_.connections)}));
  }

  void close_acceptor() {
    stopping_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    timer_.cancel();
    file_.remove();
  }

  void report_drained() {
    timer_.cancel();
    if (drained_) asio::post(loop_, std::exchange(drained_, nullptr));
  }

  asio::io_context& loop_;
  typename Protocol::acceptor acceptor_;
  asio::steady_timer timer_;
  Operations& operations_;
  const Scope scope_;
  const Bounds bounds_;
  SocketFile file_;
  std::unordered_map<Session<Protocol>*, std::shared_ptr<Session<Protocol>>> sessions_;
  std::function<void()> drained_;
  bool stopping_ = false;
  bool accepting_ = false;
};

asio::ip::address to_asio(const Ip& ip) {
  if (is_v4(ip)) {
    asio::ip::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), &ip.word[3], bytes.size());
    return asio::ip::make_address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), &ip, bytes.size());
  return asio::ip::make_address_v6(bytes);
}

}  // namespace

Server::Server(std::shared_ptr<Listening> listening) : listening_(std::move(listening)) {}

Server::~Server() { listening_->abort(); }

void Server::stop(std::function<void()> drained, std::chrono::milliseconds grace) {
  listening_->stop(std::move(drained), grace);
}

Result<std::unique_ptr<Server>> Server::listen(asio::io_context& loop, Operations& operations,
                                               const std::string& socket_path, Bounds bounds) {
  using Protocol = asio::local::stream_protocol;
  if (Result<> room = make_room(socket_path); !room) return tl::unexpected(room.error());
  auto listener = std::make_shared<Listener<Protocol>>(loop, operations, Scope::everything, bounds);
  if (Result<> open = listener->open(Protocol::endpoint(socket_path), "socket " + socket_path, socket_path); !open)
    return tl::unexpected(open.error());
  return std::unique_ptr<Server>(new Server(std::move(listener)));
}

Result<std::unique_ptr<Server>> Server::listen_metrics(asio::io_context& loop, Operations& operations,
                                                       const std::string& address, Bounds bounds) {
  using Protocol = asio::ip::tcp;
  const Result<model::Endpoint> endpoint = model::parse_endpoint(address);
  if (!endpoint) return fail(Fault::invalid, "metrics-listen: {}", endpoint.error().message);
  auto listener = std::make_shared<Listener<Protocol>>(loop, operations, Scope::metrics, bounds);
  if (Result<> open = listener->open({to_asio(endpoint->address), endpoint->port}, "metrics-listen " + address, "");
      !open)
    return tl::unexpected(open.error());
  return std::unique_ptr<Server>(new Server(std::move(listener)));
}

}  // namespace weir::api

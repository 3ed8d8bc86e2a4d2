// SPDX-License-Identifier: Apache-2.0
#include "control/net/netlink_socket.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace weir::net {

namespace {

constexpr int receive_bytes = 16 << 20;
constexpr int dump_attempts = 16;

/// NLMSG_ERROR and NLMSG_DONE both begin with a negative errno, or 0.
int errno_of(const nlmsghdr* message) {
  int code = 0;
  if (mnl_nlmsg_get_payload_len(message) >= sizeof code)
    std::memcpy(&code, mnl_nlmsg_get_payload(message), sizeof code);
  return -code;
}

}  // namespace

Request::Request(u16 type, u16 flags) : header_(mnl_nlmsg_put_header(bytes_)) {
  header_->nlmsg_type = type;
  header_->nlmsg_flags = static_cast<u16>(flags | NLM_F_REQUEST);
}

Result<NetlinkSocket> NetlinkSocket::bound(int flags) {
  mnl_socket* opened = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);
  if (opened == nullptr) return fail(Fault::internal, "cannot open an rtnetlink socket: {}", std::strerror(errno));
  NetlinkSocket socket(opened);
  if (mnl_socket_bind(opened, 0, MNL_SOCKET_AUTOPID) < 0)
    return fail(Fault::internal, "cannot bind an rtnetlink socket: {}", std::strerror(errno));
  int on = 1;  // an error report then repeats the request's header only; refused by old kernels, which is harmless
  mnl_socket_setsockopt(opened, NETLINK_CAP_ACK, &on, sizeof on);
  return socket;
}

Result<NetlinkSocket> NetlinkSocket::open() { return bound(0); }

Result<NetlinkSocket> NetlinkSocket::open_listening(std::span<const int> groups) {
  Result<NetlinkSocket> socket = bound(SOCK_NONBLOCK);
  if (!socket) return socket;
  // Above the system's limit with CAP_NET_ADMIN, up to it without.
  if (setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) != 0)
    setsockopt(socket->fd(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  for (int group : groups)
    if (mnl_socket_setsockopt(socket->socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return fail(Fault::internal, "cannot listen to rtnetlink group {}: {}", group, std::strerror(errno));
  return socket;
}

int NetlinkSocket::ask(Request& request, const Each& each) {
  nlmsghdr* message = request.message();
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message, message->nlmsg_len) < 0) return errno;
  bool interrupted = false;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    int left = static_cast<int>(size);
    for (auto* answer = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(answer, left);
         answer = mnl_nlmsg_next(answer, &left)) {
      if (answer->nlmsg_seq != sequence_) continue;  // left over from a request that failed half-way
      if ((answer->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (answer->nlmsg_type == NLMSG_ERROR) return errno_of(answer);
      if (answer->nlmsg_type == NLMSG_DONE) return interrupted ? EINTR : errno_of(answer);
      each(answer);
      if ((answer->nlmsg_flags & NLM_F_MULTI) == 0) return 0;
    }
  }
}

int NetlinkSocket::tell(Request& request) {
  request.message()->nlmsg_flags |= NLM_F_ACK;
  return ask(request, [](const nlmsghdr*) {});
}

Result<void> NetlinkSocket::dump(u16 type, u8 family, const Each& each) {
  int code = EINTR;
  for (int attempt = 0; attempt < dump_attempts && code == EINTR; ++attempt) {
    Request request(type, NLM_F_DUMP);
    request.family<rtgenmsg>().rtgen_family = family;
    code = ask(request, each);
  }
  // A dump that kept being interrupted holds at least all that did not change meanwhile; the changes are notified.
  if (code == 0 || code == EINTR) return {};
  return fail(Fault::internal, "rtnetlink dump (message type {}) failed: {}", type, std::strerror(code));
}

NetlinkSocket::Heard NetlinkSocket::hear(int limit, const Each& each) {
  for (int datagram = 0; datagram < limit; ++datagram) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Heard::empty : Heard::overrun;
    int left = static_cast<int>(size);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left))
      each(message);
  }
  return Heard::more;
}

}  // namespace weir::net

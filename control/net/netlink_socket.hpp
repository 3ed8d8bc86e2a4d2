// SPDX-License-Identifier: Apache-2.0
// One rtnetlink socket. Weir opens two: one hears the kernel's notifications, one asks questions and waits for answers.
// The kernel answers within the system call that asks, so waiting costs no more than the call.
#pragma once

#include <libmnl/libmnl.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/core/types.hpp"

namespace weir::net {

/// A request in the making: a netlink header, a zeroed family header, then attributes.
class Request {
 public:
  Request(u16 type, u16 flags);
  template <class Header>
  Header& family() {
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(header_, sizeof(Header)));
  }
  [[nodiscard]] nlmsghdr* message() { return header_; }

 private:
  alignas(nlmsghdr) char bytes_[256] = {};  // the largest request, a neighbour, is under 100 bytes
  nlmsghdr* header_;
};

class NetlinkSocket {
 public:
  using Each = std::function<void(const nlmsghdr*)>;

  /// Binds a socket in the calling thread's network namespace. Faults: internal.
  static Result<NetlinkSocket> open();
  /// The same, non-blocking and a member of `groups` (RTNLGRP_*), with room for thousands of unread notifications.
  static Result<NetlinkSocket> open_listening(std::span<const int> groups);

  [[nodiscard]] int fd() const { return mnl_socket_get_fd(socket_.get()); }

  /// Sends `request` and hands every answer to `each`. Returns 0 or the kernel's errno; EINTR when a dump was
  /// interrupted by a change and is incomplete.
  int ask(Request& request, const Each& each);
  /// Sends `request` and waits for the kernel's acknowledgement. Returns 0 or the kernel's errno.
  int tell(Request& request);
  /// Asks for everything of `type` (RTM_GET*), again while changes interrupt it. Faults: internal.
  Result<void> dump(u16 type, u8 family, const Each& each);

  /// What came of reading notifications.
  enum class Heard { empty, more, overrun };
  /// Hands at most `limit` datagrams' messages to `each`. `overrun`: the kernel had to drop notifications.
  Heard hear(int limit, const Each& each);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket), buffer_(32768) {}
  static Result<NetlinkSocket> bound(int flags);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<char> buffer_;  // the kernel fills dumps up to 32 KiB per datagram
  u32 sequence_ = 0;
};

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
// Addresses, MACs and attributes between rtnetlink's wire form and Weir's values.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstddef>
#include <optional>

#include "dataplane/core/types.hpp"

namespace weir::net {

/// The attributes of one message by type, null where absent. A type above `Max`, from a newer kernel, is left out.
template <std::size_t Max>
using Attributes = std::array<const nlattr*, Max + 1>;

template <std::size_t Max>
[[nodiscard]] Attributes<Max> attributes(const nlmsghdr* message, std::size_t family_header_size) {
  Attributes<Max> found{};
  const auto store = [](const nlattr* attribute, void* into) {
    const std::size_t type = mnl_attr_get_type(attribute);
    if (type <= Max) (*static_cast<Attributes<Max>*>(into))[type] = attribute;
    return MNL_CB_OK;
  };
  mnl_attr_parse(message, static_cast<unsigned>(family_header_size), store, &found);
  return found;
}

/// The family header that follows the netlink header, or null when the message is too short to hold one.
template <class Header>
[[nodiscard]] const Header* family_header(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(Header)) return nullptr;
  return static_cast<const Header*>(mnl_nlmsg_get_payload(message));
}

/// AF_INET or AF_INET6.
[[nodiscard]] u8 address_family(const Ip& address);
/// Length in bits of an address of that family: 32 or 128.
[[nodiscard]] u8 address_bits(const Ip& address);
void put_address(nlmsghdr* message, u16 type, const Ip& address);

/// 4 or 16 bytes in network order; anything else, null included, is no address.
[[nodiscard]] std::optional<Ip> read_address(const nlattr* attribute);
/// The address in an RTA_VIA attribute: a gateway whose family differs from the route's.
[[nodiscard]] std::optional<Ip> read_via(const nlattr* attribute);
/// 6 bytes; 0 for anything else, null included.
[[nodiscard]] MacBits read_mac(const nlattr* attribute);
/// A 4-byte value in host byte order; 0 for anything else, null included.
[[nodiscard]] u32 read_u32(const nlattr* attribute);

struct IpHash {
  std::size_t operator()(const Ip& address) const;
};

}  // namespace weir::net

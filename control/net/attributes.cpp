// SPDX-License-Identifier: Apache-2.0
#include "control/net/attributes.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace weir::net {

namespace {

std::optional<Ip> address_from(const void* bytes, std::size_t size) {
  if (size == 4) {
    Be32 v4{};
    std::memcpy(&v4.raw, bytes, 4);
    return ip_from_v4(v4);
  }
  if (size == 16) {
    Ip v6{};
    std::memcpy(v6.word, bytes, 16);
    return v6;
  }
  return std::nullopt;
}

}  // namespace

u8 address_family(const Ip& address) { return is_v4(address) ? AF_INET : AF_INET6; }

u8 address_bits(const Ip& address) { return is_v4(address) ? 32 : 128; }

void put_address(nlmsghdr* message, u16 type, const Ip& address) {
  if (is_v4(address))
    mnl_attr_put(message, type, 4, &address.word[3]);
  else
    mnl_attr_put(message, type, 16, address.word);
}

std::optional<Ip> read_address(const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  return address_from(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
}

std::optional<Ip> read_via(const nlattr* attribute) {
  if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < sizeof(rtvia)) return std::nullopt;
  const auto* bytes = static_cast<const char*>(mnl_attr_get_payload(attribute));
  return address_from(bytes + sizeof(rtvia), mnl_attr_get_payload_len(attribute) - sizeof(rtvia));
}

MacBits read_mac(const nlattr* attribute) {
  MacBits mac = 0;
  if (attribute != nullptr && mnl_attr_get_payload_len(attribute) == 6)
    std::memcpy(&mac, mnl_attr_get_payload(attribute), 6);
  return mac;
}

u32 read_u32(const nlattr* attribute) {
  return attribute != nullptr && mnl_attr_get_payload_len(attribute) == 4 ? mnl_attr_get_u32(attribute) : 0;
}

std::size_t IpHash::operator()(const Ip& address) const {
  // Addresses differ in their last bits mostly; the multiplication carries those upwards, the shift brings them back.
  u64 mixed = 0;
  for (const u32 word : address.word) {
    mixed = (mixed ^ word) * 0x9e37'79b9'7f4a'7c15ULL;
    mixed ^= mixed >> 29;
  }
  return mixed;
}

}  // namespace weir::net

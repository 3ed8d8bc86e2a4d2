// SPDX-License-Identifier: Apache-2.0
#include "control/net/neighbours.hpp"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace weir::net {

namespace {

constexpr u16 nud_fixed = NUD_PERMANENT | NUD_NOARP;
constexpr u16 nud_usable = nud_fixed | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

ndmsg& put_key(Request& request, const NeighbourKey& key) {
  auto& header = request.family<ndmsg>();
  header.ndm_family = address_family(key.address);
  header.ndm_ifindex = key.ifindex;
  put_address(request.message(), NDA_DST, key.address);
  return header;
}

// Without NLM_F_REPLACE the kernel keeps the entry's MAC and its router flag.
int change_state(NetlinkSocket& socket, const NeighbourKey& key, u16 nud) {
  Request request(RTM_NEWNEIGH, 0);
  put_key(request, key).ndm_state = nud;
  return socket.tell(request);
}

int use(NetlinkSocket& socket, const NeighbourKey& key, u16 flags) {
  Request request(RTM_NEWNEIGH, flags);
  put_key(request, key).ndm_flags = NTF_USE;
  if ((flags & NLM_F_CREATE) != 0) mnl_attr_put_u8(request.message(), NDA_PROTOCOL, neighbour_protocol);
  return socket.tell(request);
}

}  // namespace

bool NeighbourEntry::usable() const { return mac != 0 && (nud & nud_usable) != 0; }

bool NeighbourEntry::fixed() const { return (nud & nud_fixed) != 0; }

std::optional<NeighbourNews> read_neighbour(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH) return std::nullopt;
  const auto* header = family_header<ndmsg>(message);
  if (header == nullptr || (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)) return std::nullopt;
  if ((header->ndm_flags & NTF_PROXY) != 0) return std::nullopt;
  const auto attribute = attributes<NDA_FLAGS_EXT>(message, sizeof *header);
  const std::optional<Ip> address = read_address(attribute[NDA_DST]);
  if (!address) return std::nullopt;

  NeighbourNews news{.key = {*address, header->ndm_ifindex}, .entry = std::nullopt};
  if (message->nlmsg_type == RTM_DELNEIGH) return news;
  NeighbourEntry entry{.nud = header->ndm_state, .mac = read_mac(attribute[NDA_LLADDR])};
  entry.kept_by_others =
      (header->ndm_flags & NTF_EXT_LEARNED) != 0 || (read_u32(attribute[NDA_FLAGS_EXT]) & NTF_EXT_MANAGED) != 0;
  entry.ours = attribute[NDA_PROTOCOL] != nullptr && mnl_attr_get_u8(attribute[NDA_PROTOCOL]) == neighbour_protocol;
  news.entry = entry;
  return news;
}

std::optional<NeighbourEntry> find_neighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  Request request(RTM_GETNEIGH, 0);
  put_key(request, key);
  std::optional<NeighbourEntry> found;
  socket.ask(request, [&](const nlmsghdr* message) {
    if (const auto news = read_neighbour(message)) found = news->entry;
  });
  return found;
}

int use_neighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  // "Create, but only if absent" is one step in the kernel, so the mark never lands on somebody else's entry.
  const int code = use(socket, key, NLM_F_CREATE | NLM_F_EXCL);
  if (code != EEXIST) return code;
  // NTF_USE takes the PERMANENT state from an entry (seen on 6.18): look before asking.
  const auto entry = find_neighbour(socket, key);
  if (entry && (entry->fixed() || entry->kept_by_others)) return 0;
  return use(socket, key, 0);
}

int probe_neighbour(NetlinkSocket& socket, const NeighbourKey& key) { return change_state(socket, key, NUD_PROBE); }

int renew_neighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  const auto entry = find_neighbour(socket, key);
  if (entry && (entry->fixed() || entry->kept_by_others)) return 0;
  if (entry) change_state(socket, key, NUD_NONE);
  return use_neighbour(socket, key);
}

int delete_neighbour(NetlinkSocket& socket, const NeighbourKey& key) {
  Request request(RTM_DELNEIGH, 0);
  put_key(request, key);
  return socket.tell(request);
}

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
// Neighbours under watch: what the kernel says of them, and when it is asked about them.
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "control/net/watcher_state.hpp"

namespace weir::net {

Watcher::State::Neighbour& Watcher::State::track(const NeighbourKey& key) {
  const Time now = Clock::now();
  auto [at, added] = neighbours_.try_emplace(key, Neighbour{key, NeighbourLife(now), {}, {}});
  if (added) hear_neighbour(at->second, find_neighbour(questions_, key));
  return at->second;
}

void Watcher::State::untrack(Neighbour& neighbour) {
  agenda_.move(&neighbour, neighbour.place, {});
  neighbours_.erase(NeighbourKey(neighbour.key));
}

void Watcher::State::hear_neighbour(Neighbour& neighbour, const std::optional<NeighbourEntry>& entry) {
  const HopState state = neighbour.life.state();
  const MacBits mac = neighbour.life.mac();
  const u32 failures = neighbour.life.failures();
  neighbour.life.heard(entry, Clock::now());
  life_moved(neighbour, state, mac, failures);
}

void Watcher::State::ask_about(Neighbour& neighbour) {
  const HopState state = neighbour.life.state();
  const MacBits mac = neighbour.life.mac();
  const u32 failures = neighbour.life.failures();
  const NeighbourLife::Ask ask = neighbour.life.next(Clock::now());
  int code = 0;
  if (ask == NeighbourLife::Ask::probe) {
    ++counters_.confirmations;
    // Refused when the entry went meanwhile; then its going is notified, and the probe's patience ends in a broadcast.
    probe_neighbour(questions_, neighbour.key);
  } else {
    ++counters_.resolutions;
    code = ask == NeighbourLife::Ask::renew ? renew_neighbour(questions_, neighbour.key)
                                            : use_neighbour(questions_, neighbour.key);
  }
  if (code != 0) {
    neighbour.life.refused(Clock::now());
    warn(code, neighbour.key);
  }
  life_moved(neighbour, state, mac, failures);
}

void Watcher::State::life_moved(Neighbour& neighbour, HopState state, MacBits mac, u32 failures) {
  reschedule(neighbour);
  const NeighbourLife& life = neighbour.life;
  if (life.state() == state && life.mac() == mac && life.failures() == failures) return;
  for (Target* target : neighbour.users) settle_from_neighbour(*target);
}

void Watcher::State::reschedule(Neighbour& neighbour) {
  agenda_.move(&neighbour, neighbour.place, {neighbour.life.due(), neighbour.life.urgent()});
  wake_agenda();
}

void Watcher::State::wake_agenda() {
  const auto wake = agenda_.wake();
  if (!wake || stopped_ || (agenda_wakes_ && *agenda_wakes_ <= *wake)) return;
  agenda_wakes_ = wake;
  agenda_timer_.expires_at(*wake);  // cancels an earlier wait
  agenda_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->stopped_) return;
    self->agenda_wakes_ = std::nullopt;
    self->agenda_.take(Clock::now(), [&](Neighbour& neighbour) { self->ask_about(neighbour); });
    self->wake_agenda();
  });
}

void Watcher::State::warn(int code, const NeighbourKey& key) {
  const Time now = Clock::now();
  if (now - warned_ < std::chrono::seconds(1)) return;
  warned_ = now;
  const auto link = links_.find(key.ifindex);
  const std::string interface = link ? link->name : std::string("a removed interface");
  const char* family = is_v4(key.address) ? "ipv4" : "ipv6";
  if (code == ENOBUFS)
    warnings_.push_back(
        fmt::format("the kernel's neighbour table is full, so a next hop on {} cannot be resolved; raise "
                    "net.{}.neigh.default.gc_thresh3 above the number of neighbours",
                    interface, family));
  else
    warnings_.push_back(
        fmt::format("the kernel refuses to resolve an {} neighbour on {}: {}", family, interface, std::strerror(code)));
  report_later();
}

void Watcher::State::nudge(const NeighbourKey& key) {
  ++counters_.resolutions;
  if (const int code = use_neighbour(questions_, key); code != 0) warn(code, key);
}

Result<u32> Watcher::State::forget() {
  for (auto& [address, target] : targets_)
    while (!target.waiters.empty()) answer(target, target.waiters.back());
  ++epoch_;
  for (auto& [key, neighbour] : neighbours_) agenda_.move(&neighbour, neighbour.place, {});
  targets_.clear();
  neighbours_.clear();

  std::vector<NeighbourKey> ours;
  const auto take = [&](const nlmsghdr* message) {
    const auto news = read_neighbour(message);
    if (news && news->entry && news->entry->ours && (news->entry->nud & NUD_PERMANENT) == 0) ours.push_back(news->key);
  };
  if (auto read = questions_.dump(RTM_GETNEIGH, AF_UNSPEC, take); !read) return tl::unexpected(read.error());
  u32 deleted = 0;
  for (const NeighbourKey& key : ours)
    if (delete_neighbour(questions_, key) == 0) ++deleted;
  return deleted;
}

}  // namespace weir::net

// SPDX-License-Identifier: Apache-2.0
#include "control/table/address_book.hpp"

#include <atomic>

namespace weir::table {
namespace {

void order_stores() { std::atomic_thread_fence(std::memory_order_seq_cst); }

Key key_of(const Ip& address, KeyKind kind, Protocol protocol, Be16 port) {
  return {address, key_word(kind, static_cast<u8>(protocol), port)};
}
Key service_key(const Service& s) { return key_of(s.vip, KeyKind::service, s.protocol, s.port); }
Key answer_key(const Backend& b) { return key_of(b.address, KeyKind::answer, b.protocol, b.port); }
Key fragment_key(const Service& s) { return key_of(s.vip, KeyKind::fragment, s.protocol, Be16{0}); }
Key answer_fragment_key(const Backend& b) { return key_of(b.address, KeyKind::answer_fragment, b.protocol, Be16{0}); }
Key vip_key(const Ip& vip) { return {vip, key_word(KeyKind::vip, 0, Be16{0})}; }

KeyKind kind_of(const Key& key) { return static_cast<KeyKind>(key.word >> 24); }

}  // namespace

void AddressBook::adopt_service(u32 id, VipState state) {
  const Service& record = memory_.services[id];
  expect(record.vip);
  retain_vip(record.vip, state);
  if (table_hash(record.table) == HashOn::source) by_source_.insert(id);
  if (index_.get(service_key(record)) == id) groups_[fragment_key(record)][record.port.raw] = id;
}

void AddressBook::adopt_backend(u32 id) {
  const Backend& record = memory_.backends[id];
  if (record.mode != Mode::nat) return;
  expect(record.address);
  if (index_.get(answer_key(record)) == id) groups_[answer_fragment_key(record)][record.port.raw] = id;
}

bool AddressBook::add_service(u32 id, VipState state) {
  const Service& record = memory_.services[id];
  expect(record.vip);
  retain_vip(record.vip, state);
  return share(service_key(record), fragment_key(record), record.port.raw, id);
}

void AddressBook::remove_service(u32 id) {
  const Service& record = memory_.services[id];
  unshare(service_key(record), fragment_key(record), record.port.raw, id);
  by_source_.erase(id);
  if (const auto vip = vips_.find(vip_key(record.vip)); vip != vips_.end() && --vip->second == 0) {
    index_.erase(vip->first, index_.get(vip->first));
    vips_.erase(vip);
  }
  forget(record.vip);
}

bool AddressBook::add_backend(u32 id) {
  const Backend& record = memory_.backends[id];
  if (record.mode != Mode::nat) return true;
  expect(record.address);
  return share(answer_key(record), answer_fragment_key(record), record.port.raw, id);
}

void AddressBook::remove_backend(u32 id) {
  const Backend& record = memory_.backends[id];
  if (record.mode != Mode::nat) return;
  unshare(answer_key(record), answer_fragment_key(record), record.port.raw, id);
  forget(record.address);
}

void AddressBook::set_hash(u32 service, HashOn hash, const Backends& backends) {
  const bool changed = hash == HashOn::source ? by_source_.insert(service).second : by_source_.erase(service) > 0;
  if (!changed) return;
  refresh(fragment_key(memory_.services[service]));
  for (const auto& [endpoint, id] : backends) refresh(answer_fragment_key(memory_.backends[id]));
}

void AddressBook::set_local(const Ip& vip, VipState state) {
  if (vips_.contains(vip_key(vip))) index_.put(vip_key(vip), static_cast<u32>(state));
}

bool AddressBook::answers(u32 id) const {
  const Backend& record = memory_.backends[id];
  return record.mode != Mode::nat || index_.get(answer_key(record)) == id;
}

u32 AddressBook::service_at(const Service& record) const { return index_.get(service_key(record)); }

// A bit is there before the first key that needs it and until after the last one.
void AddressBook::expect(const Ip& address) {
  const u32 bit = address_bit(address_word(address), memory_.globals->filter_shift);
  ++bits_[bit];
  u64& word = memory_.filter[bit / 64];
  if (const u64 with = word | u64{1} << bit % 64; with != word) store_once(word, with);
  order_stores();
}

void AddressBook::forget(const Ip& address) {
  const u32 bit = address_bit(address_word(address), memory_.globals->filter_shift);
  if (const auto uses = bits_.find(bit); uses == bits_.end() || --uses->second > 0) return;
  bits_.erase(bit);
  order_stores();
  u64& word = memory_.filter[bit / 64];
  store_once(word, word & ~(u64{1} << bit % 64));
}

void AddressBook::retain_vip(const Ip& vip, VipState state) {
  if (++vips_[vip_key(vip)] == 1) index_.put(vip_key(vip), static_cast<u32>(state));
}

bool AddressBook::share(const Key& key, const Key& group, u16 port, u32 id) {
  groups_[group][port] = id;
  // Whoever took the fragments alone stops before the second one is found, and begins after it is.
  if (taker_of_fragments(group) == 0) refresh(group);
  if (!index_.put(key, id)) return false;
  refresh(group);
  return true;
}

void AddressBook::unshare(const Key& key, const Key& group, u16 port, u32 id) {
  index_.erase(key, id);
  const auto sharers = groups_.find(group);
  if (sharers == groups_.end()) return;
  if (const auto own = sharers->second.find(port); own != sharers->second.end() && own->second == id)
    sharers->second.erase(own);
  if (sharers->second.empty()) groups_.erase(sharers);
  refresh(group);
}

u32 AddressBook::taker_of_fragments(const Key& group) const {
  const auto sharers = groups_.find(group);
  if (sharers == groups_.end() || sharers->second.size() != 1) return 0;
  const u32 id = sharers->second.begin()->second;
  return by_source_.contains(kind_of(group) == KeyKind::fragment ? id : memory_.backends[id].service) ? id : 0;
}

void AddressBook::refresh(const Key& group) {
  const u32 wanted = taker_of_fragments(group);
  const u32 present = index_.get(group);
  if (wanted == present) return;
  if (wanted != 0)
    index_.put(group, wanted);
  else
    index_.erase(group, present);
}

bool AddressBook::belongs(const IndexWriter::Entry& entry) const {
  const auto shares = [&](KeyKind group_kind) {
    const Key group = key_of(entry.key.address, group_kind, static_cast<Protocol>(entry.key.word >> 16), Be16{0});
    const auto sharers = groups_.find(group);
    if (sharers == groups_.end()) return false;
    const auto sharer = sharers->second.find(static_cast<u16>(entry.key.word));
    return sharer != sharers->second.end() && sharer->second == entry.value;
  };
  switch (kind_of(entry.key)) {
    case KeyKind::service:
      return shares(KeyKind::fragment);
    case KeyKind::answer:
      return shares(KeyKind::answer_fragment);
    case KeyKind::vip:
      return vips_.contains(entry.key);
    case KeyKind::fragment:
    case KeyKind::answer_fragment:
      return taker_of_fragments(entry.key) == entry.value;
  }
  return false;
}

void AddressBook::settle() {
  for (const IndexWriter::Entry& entry : index_.entries())
    if (!belongs(entry)) index_.erase(entry.key, entry.value);
  for (const auto& [group, sharers] : groups_) refresh(group);
  order_stores();
  std::vector<u64> wanted(memory_.filter.size());
  for (const auto& [bit, uses] : bits_) wanted[bit / 64] |= u64{1} << bit % 64;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (memory_.filter[i] != wanted[i]) store_once(memory_.filter[i], wanted[i]);
}

}  // namespace weir::table

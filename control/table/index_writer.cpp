// SPDX-License-Identifier: Apache-2.0
#include "control/table/index_writer.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

namespace weir::table {
namespace {

u64 hash_of(const Key& key) { return index_hash(address_word(key.address), key.word); }

u64 slot_word(const Key& key, u32 value) { return u64{key.word} | u64{value} << 32; }

// The fast path runs on other CPUs: what it is to find must be in memory before what leads to it.
void order_stores() { std::atomic_thread_fence(std::memory_order_seq_cst); }

void fill(IndexSlot& slot, const Key& key, u32 value) {
  slot.address = key.address;
  order_stores();
  store_once(slot.word, slot_word(key, value));
}

// The n-th multiplier to try; odd, and unlike its predecessors (splitmix64, Steele et al. 2014).
u64 candidate(u64 n) {
  u64 z = (n + 1) * 0x9e37'79b9'7f4a'7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebULL;
  return (z ^ (z >> 31)) | 1;
}

constexpr u64 max_tries = 1 << 16;

Time now() { return std::chrono::steady_clock::now(); }
Key key_of(const IndexSlot& slot) { return {slot.address, static_cast<u32>(slot.word)}; }

}  // namespace

IndexWriter::IndexWriter(TableMemory& memory) : memory_(memory), buckets_(memory.buckets.size()) {
  // Copies that an earlier writer left behind in a move: their readers are long gone.
  for (IndexSlot& slot : memory_.slots)
    if (slot.word != 0 && find_slot(key_of(slot)) != &slot) store_once(slot.word, u64{0});
  for (IndexSlot& slot : memory_.slots) {
    if (slot.word == 0) continue;
    buckets_[bucket_of(hash_of(key_of(slot)))].push_back(key_of(slot));
    ++size_;
  }
}

u32 IndexWriter::bucket_of(u64 hash) const { return static_cast<u32>(hash >> memory_.globals->bucket_shift); }
u32 IndexWriter::slot_of(u64 hash, u64 displacement) const {
  return static_cast<u32>((hash * displacement) >> memory_.globals->slot_shift);
}

IndexSlot* IndexWriter::find_slot(const Key& key) const {
  const u64 hash = hash_of(key);
  IndexSlot& slot = memory_.slots[slot_of(hash, memory_.buckets[bucket_of(hash)])];
  return static_cast<u32>(slot.word) == key.word && slot.address == key.address ? &slot : nullptr;
}

u32 IndexWriter::get(const Key& key) const {
  const IndexSlot* slot = find_slot(key);
  return slot ? static_cast<u32>(slot->word >> 32) : 0;
}

bool IndexWriter::put(const Key& key, u32 value) {
  clear_left(now());
  if (IndexSlot* slot = find_slot(key)) {
    store_once(slot->word, slot_word(key, value));
    return true;
  }
  const u64 hash = hash_of(key);
  const u32 bucket = bucket_of(hash);
  IndexSlot& slot = memory_.slots[slot_of(hash, memory_.buckets[bucket])];
  if (slot.word == 0) {
    fill(slot, key, value);
  } else if (!relocate(bucket, {key, value})) {
    if (left_.empty()) return false;
    std::this_thread::sleep_until(left_.back().since + rest_time);
    clear_left(now());
    if (!relocate(bucket, {key, value})) return false;
  }
  buckets_[bucket].push_back(key);
  ++size_;
  return true;
}

bool IndexWriter::relocate(u32 bucket, const Entry& added) {
  std::vector<Entry> moving{added};
  std::vector<IndexSlot*> left;
  for (const Key& key : buckets_[bucket]) {
    left.push_back(find_slot(key));
    moving.push_back({key, static_cast<u32>(left.back()->word >> 32)});
  }
  std::vector<u32> places(moving.size());
  for (u64 n = 0; n < max_tries; ++n) {
    const u64 displacement = candidate(n);
    bool free = true;
    for (std::size_t i = 0; free && i < moving.size(); ++i) {
      places[i] = slot_of(hash_of(moving[i].key), displacement);
      free = memory_.slots[places[i]].word == 0 && std::find(places.begin(), places.begin() + static_cast<long>(i),
                                                             places[i]) == places.begin() + static_cast<long>(i);
    }
    if (!free) continue;
    for (std::size_t i = 0; i < moving.size(); ++i) fill(memory_.slots[places[i]], moving[i].key, moving[i].value);
    order_stores();
    store_once(memory_.buckets[bucket], displacement);
    for (IndexSlot* slot : left) left_.push_back({slot, now()});
    return true;
  }
  return false;
}

void IndexWriter::clear_left(Time now) {
  while (!left_.empty() && now - left_.front().since >= rest_time) {
    store_once(left_.front().slot->word, u64{0});
    left_.pop_front();
  }
}

void IndexWriter::erase(const Key& key, u32 value) {
  clear_left(now());
  IndexSlot* slot = find_slot(key);
  if (!slot || static_cast<u32>(slot->word >> 32) != value) return;
  store_once(slot->word, u64{0});
  // Its copies go as well: a later displacement of the bucket, chosen without this key, might lead to one.
  std::erase_if(left_, [&](const Left& left) {
    if (!(key_of(*left.slot) == key)) return false;
    store_once(left.slot->word, u64{0});
    return true;
  });
  std::erase(buckets_[bucket_of(hash_of(key))], key);
  --size_;
}

std::vector<IndexWriter::Entry> IndexWriter::entries() const {
  std::vector<Entry> found;
  for (const std::vector<Key>& bucket : buckets_)
    for (const Key& key : bucket) found.push_back({key, get(key)});
  return found;
}

}  // namespace weir::table

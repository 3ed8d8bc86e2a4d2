// SPDX-License-Identifier: Apache-2.0
#include "control/table/index_writer.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <thread>

namespace {

using namespace weir;
using namespace weir::table;

/// The n-th key: IPv4 and IPv6 in turn, of all kinds.
Key key(u32 n) {
  const auto kind = static_cast<KeyKind>(1 + n % 3);
  const u32 word = key_word(kind, n & 4 ? 6 : 17, to_be(static_cast<u16>(n / 64)));
  return n & 1 ? Key{ip_from_v4(to_be(0x0a00'0000 + n)), word} : Key{{{0x0000'0120, n * 7, 0, to_be(n).raw}}, word};
}

/// Tables with an index and nothing else worth mentioning.
struct Index {
  explicit Index(u32 backends) : tables(sizes_for(1, backends, 256)) { initialise(tables.memory(), FlowKeys{}); }
  [[nodiscard]] MemoryTables view() {
    return {tables.memory(), [](const Ip&, const Ip&, u32) { return Route{Verdict::client_no_route, 0}; }};
  }
  u32 bucket(const Key& k) {
    return static_cast<u32>(index_hash(address_word(k.address), k.word) >> tables.memory().globals->bucket_shift);
  }
  OwnedTables tables;
};

/// The core's look-up, as a packet does it.
u32 find_key(const MemoryTables& view, const Key& k) {
  if (is_v4(k.address)) return find(view, *view.globals(), Be32{k.address.word[3]}, k.word);
  const auto& w = k.address.word;
  const Be32 words[4] = {{w[0]}, {w[1]}, {w[2]}, {w[3]}};
  return find(view, *view.globals(), words, k.word);
}

}  // namespace

TEST_CASE("after any sequence of insertions and removals the core finds what a map holds, and no more") {
  Index index(2000);
  IndexWriter writer(index.tables.memory());
  std::map<u32, u32> model;
  auto random = [engine = std::mt19937(7)]() mutable { return static_cast<u32>(engine()); };
  u32 wrong = 0;
  for (u32 i = 0; i < 100'000; ++i) {
    const u32 n = random() % 3000;
    if ((random() & 1) && model.size() < 2000) {
      const u32 value = 1 + random() % 0xffffff;
      REQUIRE(writer.put(key(n), value));
      model[n] = value;
    } else {
      const auto held = model.find(n);
      writer.erase(key(n), held == model.end() ? 1 : held->second);
      if (held != model.end()) model.erase(held);
    }
    const u32 asked = random() % 3000;
    const auto held = model.find(asked);
    wrong += find_key(index.view(), key(asked)) != (held == model.end() ? 0 : held->second);
  }
  CHECK(wrong == 0);
  CHECK(writer.size() == model.size());
  for (u32 n = 0; n < 3000; ++n) {
    const auto held = model.find(n);
    wrong += find_key(index.view(), key(n)) != (held == model.end() ? 0 : held->second);
    wrong += writer.get(key(n)) != (held == model.end() ? 0 : held->second);
  }
  CHECK(wrong == 0);
}

TEST_CASE("a key is removed only by the value that it holds") {
  Index index(100);
  IndexWriter writer(index.tables.memory());
  REQUIRE(writer.put(key(1), 10));
  REQUIRE(writer.put(key(1), 11));
  CHECK(writer.size() == 1);
  writer.erase(key(1), 10);
  CHECK(find_key(index.view(), key(1)) == 11);
  writer.erase(key(1), 11);
  CHECK(find_key(index.view(), key(1)) == 0);
  CHECK(writer.size() == 0);
}

TEST_CASE("keys that differ in one part alone are different keys") {
  Index index(100);
  IndexWriter writer(index.tables.memory());
  const Ip address = ip_from_v4(to_be(0xc000'0201U));
  const Key base{address, key_word(KeyKind::service, 6, to_be(u16{80}))};
  const std::vector<Key> others{{address, key_word(KeyKind::answer, 6, to_be(u16{80}))},
                                {address, key_word(KeyKind::service, 17, to_be(u16{80}))},
                                {address, key_word(KeyKind::service, 6, to_be(u16{81}))},
                                {ip_from_v4(to_be(0xc000'0202U)), base.word},
                                {Ip{{0, 0, 0, address.word[3]}}, base.word}};
  REQUIRE(writer.put(base, 1));
  for (const Key& other : others) CHECK(find_key(index.view(), other) == 0);
  u32 value = 2;
  for (const Key& other : others) REQUIRE(writer.put(other, value++));
  CHECK(find_key(index.view(), base) == 1);
  value = 2;
  for (const Key& other : others) CHECK(find_key(index.view(), other) == value++);
}

TEST_CASE("the index takes every key of its design load") {
  for (const u32 backends : {254U, 4094U, 65534U}) {
    Index index(backends);
    IndexWriter writer(index.tables.memory());
    const u32 count = backends + 2;
    u32 refused = 0;
    for (u32 n = 0; n < count; ++n) refused += !writer.put(key(n), n + 1);
    CHECK(refused == 0);
    u32 wrong = 0;
    for (u32 n = 0; n < count; ++n) wrong += find_key(index.view(), key(n)) != n + 1;
    CHECK(wrong == 0);
    CHECK(writer.size() == count);
  }
}

TEST_CASE("an index that is full refuses a key and keeps what it has") {
  Index index(8);
  IndexWriter writer(index.tables.memory());
  u32 held = 0;
  while (writer.put(key(held), held + 1)) ++held;
  CHECK(held >= 10);
  for (u32 n = 0; n < held; ++n) CHECK(find_key(index.view(), key(n)) == n + 1);
  CHECK(find_key(index.view(), key(held)) == 0);
}

TEST_CASE("a second writer over the same memory takes over all keys") {
  Index index(500);
  {
    IndexWriter first(index.tables.memory());
    for (u32 n = 0; n < 400; ++n) REQUIRE(first.put(key(n), n + 1));
    for (u32 n = 0; n < 400; n += 3) first.erase(key(n), n + 1);
  }
  IndexWriter second(index.tables.memory());
  CHECK(second.size() == 266);
  CHECK(second.entries().size() == 266);
  for (u32 n = 400; n < 500; ++n) REQUIRE(second.put(key(n), n + 1));
  for (u32 n = 0; n < 500; ++n) CHECK(find_key(index.view(), key(n)) == (n < 400 && n % 3 == 0 ? 0 : n + 1));
  for (const IndexWriter::Entry& entry : second.entries()) second.erase(entry.key, entry.value);
  CHECK(second.size() == 0);
  for (u32 n = 0; n < 500; ++n) CHECK(find_key(index.view(), key(n)) == 0);
}

TEST_CASE("a reader never misses a present key while others come and go in its bucket") {
  Index index(1500);
  IndexWriter writer(index.tables.memory());
  // Three keys that stay and three that come and go, in each of a hundred buckets.
  std::map<u32, std::vector<Key>> by_bucket;
  for (u32 n = 0; n < 200'000; ++n) {
    const u32 bucket = index.bucket(key(n));
    if (bucket < 100 && by_bucket[bucket].size() < 6) by_bucket[bucket].push_back(key(n));
  }
  std::vector<Key> staying, passing;
  for (const auto& [bucket, keys] : by_bucket) {
    REQUIRE(keys.size() == 6);
    staying.insert(staying.end(), keys.begin(), keys.begin() + 3);
    passing.insert(passing.end(), keys.begin() + 3, keys.end());
  }
  for (std::size_t i = 0; i < staying.size(); ++i) REQUIRE(writer.put(staying[i], static_cast<u32>(i + 1)));

  std::atomic<bool> stop{false};
  std::atomic<u64> looked{0};
  u64 missed = 0;
  const MemoryTables view = index.view();
  std::thread reader([&] {
    while (!stop)
      for (std::size_t i = 0; i < staying.size(); ++i) {
        missed += find_key(view, staying[i]) != i + 1;
        ++looked;
      }
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  u32 refused = 0;
  while (std::chrono::steady_clock::now() < until) {
    for (const Key& k : passing) refused += !writer.put(k, 0x123456);
    for (const Key& k : passing) writer.erase(k, 0x123456);
  }
  stop = true;
  reader.join();
  CHECK(looked > 1000);
  CHECK(refused == 0);
  CHECK(missed == 0);
}

namespace {

/// Tables of a reader that is held up between its two loads, while `meanwhile` runs.
struct HeldUp : MemoryTables {
  explicit HeldUp(const MemoryTables& view) : MemoryTables(view) {}
  [[nodiscard]] const IndexSlot* slot(u32 i) const {
    if (meanwhile) meanwhile();
    return MemoryTables::slot(i);
  }
  std::function<void()> meanwhile;
};

}  // namespace

TEST_CASE("a reader that is held up between bucket and slot finds its key when the bucket moves") {
  Index index(254);
  IndexWriter writer(index.tables.memory());
  REQUIRE(writer.put(key(0), 1));
  const u64 before = index.tables.memory().buckets[index.bucket(key(0))];
  u32 found = 0;
  HeldUp view(index.view());
  u32 n = 1;
  view.meanwhile = [&] {  // fills the bucket until it has to move
    for (; index.tables.memory().buckets[index.bucket(key(0))] == before; ++n)
      if (index.bucket(key(n)) == index.bucket(key(0))) REQUIRE(writer.put(key(n), n + 1));
  };
  const u32 word = key(0).word;
  const auto& a = key(0).address.word;
  const Be32 six[4] = {{a[0]}, {a[1]}, {a[2]}, {a[3]}};
  found =
      is_v4(key(0).address) ? find(view, *view.globals(), Be32{a[3]}, word) : find(view, *view.globals(), six, word);
  CHECK(found == 1);
}

TEST_CASE("a key that was removed soon after its bucket moved is not found, and can come back for good") {
  Index index(254);
  IndexWriter writer(index.tables.memory());
  std::vector<Key> bucket;  // keys of one bucket, more than it will ever hold at once
  for (u32 n = 0; bucket.size() < 40; ++n)
    if (index.bucket(key(n)) == index.bucket(key(0))) bucket.push_back(key(n));
  u32 wrong = 0;
  for (u32 round = 0; round < 2000; ++round) {
    const Key& k = bucket[round % bucket.size()];
    REQUIRE(writer.put(k, 1));
    if (round >= 6) {
      const Key& old = bucket[(round - 6) % bucket.size()];
      writer.erase(old, 1);
      wrong += find_key(index.view(), old) != 0;
    }
    for (u32 back = 0; back < 6 && back <= round; ++back)
      wrong += find_key(index.view(), bucket[(round - back) % bucket.size()]) != 1;
  }
  std::this_thread::sleep_for(rest_time);
  writer.erase(bucket[1], 2);  // time for what has rested to go
  for (u32 back = 0; back < 6; ++back) wrong += find_key(index.view(), bucket[(1999 - back) % bucket.size()]) != 1;
  CHECK(wrong == 0);
  CHECK(IndexWriter(index.tables.memory()).size() == 6);
}

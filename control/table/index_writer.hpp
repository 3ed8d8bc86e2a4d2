// SPDX-License-Identifier: Apache-2.0
// Writes the perfect-hash index of dataplane/core/tables.hpp while the fast path reads it.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "control/table/allocator.hpp"
#include "dataplane/core/flow.hpp"
#include "dataplane/memory/table_memory.hpp"

namespace weir::table {

struct Key {
  Ip address{};
  u32 word = 0;  ///< key_word() of dataplane/core/tables.hpp
  friend bool operator==(const Key&, const Key&) = default;
};

class IndexWriter {
 public:
  /// Takes over whatever keys the memory holds.
  explicit IndexWriter(TableMemory& memory);

  /// Inserts `key` or changes its value, which is not 0. A reader finds the key's old value or its new one at every
  /// moment, and never misses a neighbour in the same bucket. May wait `rest_time` for slots to come free. False when
  /// the index is full beyond its design load.
  bool put(const Key& key, u32 value);
  /// Removes `key` if it holds `value`.
  void erase(const Key& key, u32 value);
  [[nodiscard]] u32 get(const Key& key) const;
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Every key with its value, in no order.
  struct Entry {
    Key key;
    u32 value;
  };
  [[nodiscard]] std::vector<Entry> entries() const;

 private:
  [[nodiscard]] u32 bucket_of(u64 hash) const;
  [[nodiscard]] u32 slot_of(u64 hash, u64 displacement) const;
  [[nodiscard]] IndexSlot* find_slot(const Key& key) const;
  bool relocate(u32 bucket, const Entry& added);
  void clear_left(Time now);

  // The old slots of a bucket that has moved: a reader may be on its way to them, so they rest before they are cleared.
  struct Left {
    IndexSlot* slot;
    Time since;
  };
  std::deque<Left> left_;

  TableMemory& memory_;
  std::vector<std::vector<Key>> buckets_;  // which keys each bucket holds
  std::size_t size_ = 0;
};

}  // namespace weir::table

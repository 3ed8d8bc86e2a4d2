// SPDX-License-Identifier: Apache-2.0
#include "control/table/allocator.hpp"

#include <iterator>

namespace weir::table {

std::optional<u32> IdPool::take(Time now) {
  if (!resting_.empty() && now - resting_.front().since >= rest_time) {
    const u32 id = resting_.front().id;
    resting_.pop_front();
    return id;
  }
  while (next_ < used_.size() && used_[next_]) ++next_;
  if (next_ >= used_.size()) return std::nullopt;
  used_[next_] = true;
  return next_++;
}

u32 IdPool::available() const {
  u32 free = static_cast<u32>(resting_.size());
  for (std::size_t id = next_; id < used_.size(); ++id) free += used_[id] ? 0 : 1;
  return free;
}

RowPool::RowPool(u32 rows) {
  if (rows > 0) free_.emplace(0, rows);
}

void RowPool::reserve(u32 first, u32 count) {
  auto stretch = free_.upper_bound(first);
  if (stretch == free_.begin()) return;
  --stretch;
  const u32 start = stretch->first;
  const u32 end = start + stretch->second;
  if (first + count > end) return;
  free_.erase(stretch);
  if (start < first) free_.emplace(start, first - start);
  if (first + count < end) free_.emplace(first + count, end - first - count);
  used_ += count;
}

std::optional<u32> RowPool::take(u32 count, Time now) {
  while (!resting_.empty() && now - resting_.front().since >= rest_time) {
    release(resting_.front().first, resting_.front().count);
    resting_.pop_front();
  }
  for (const auto& [start, length] : free_) {
    const u32 first = (start + count - 1) / count * count;
    if (first - start > length || length - (first - start) < count) continue;
    reserve(first, count);
    return first;
  }
  return std::nullopt;
}

void RowPool::wake() {
  for (const Resting& stretch : resting_) release(stretch.first, stretch.count);
  resting_.clear();
}

u32 RowPool::used() const {
  u32 count = used_;
  for (const Resting& stretch : resting_) count -= stretch.count;
  return count;
}

void RowPool::release(u32 first, u32 count) {
  used_ -= count;
  auto [stretch, inserted] = free_.emplace(first, count);
  if (const auto next = std::next(stretch); next != free_.end() && next->first == first + count) {
    stretch->second += next->second;
    free_.erase(next);
  }
  if (stretch != free_.begin()) {
    const auto before = std::prev(stretch);
    if (before->first + before->second == first) {
      before->second += stretch->second;
      free_.erase(stretch);
    }
  }
}

}  // namespace weir::table

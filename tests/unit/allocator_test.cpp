// SPDX-License-Identifier: Apache-2.0
#include "control/table/allocator.hpp"

#include <catch2/catch.hpp>
#include <set>

namespace {

using namespace weir;
using namespace weir::table;

const Time start{};
const auto tick = std::chrono::milliseconds(1);

}  // namespace

TEST_CASE("ids run from 1 to the capacity less one, and then there is none") {
  IdPool pool(5);
  std::set<u32> ids;
  for (int i = 0; i < 4; ++i) ids.insert(pool.take(start).value());
  CHECK(ids == std::set<u32>{1, 2, 3, 4});
  CHECK_FALSE(pool.take(start).has_value());
  CHECK_FALSE(pool.take(start + rest_time).has_value());
}

TEST_CASE("an id that was given back rests before it is given out again") {
  IdPool pool(2);
  REQUIRE(pool.take(start) == 1);
  pool.give_back(1, start);
  CHECK_FALSE(pool.take(start + rest_time - tick).has_value());
  CHECK(pool.take(start + rest_time) == 1);
  CHECK_FALSE(pool.take(start + 2 * rest_time).has_value());
}

TEST_CASE("reserved ids are not given out, and come free when they are given back") {
  IdPool pool(5);
  pool.reserve(1);
  pool.reserve(3);
  CHECK(pool.take(start) == 2);
  CHECK(pool.take(start) == 4);
  CHECK_FALSE(pool.take(start).has_value());
  pool.give_back(3, start);
  CHECK(pool.take(start + rest_time) == 3);
}

TEST_CASE("rows are aligned to their count and never overlap") {
  RowPool pool(4096);
  std::set<u32> taken;
  for (const u32 count : {256U, 1024U, 512U, 256U, 512U, 1024U}) {
    const u32 first = pool.take(count, start).value();
    CHECK(first % count == 0);
    CHECK(first + count <= 4096);
    for (u32 row = first; row < first + count; ++row) CHECK(taken.insert(row).second);
  }
  CHECK(pool.used() == 3584);
  CHECK_FALSE(pool.take(1024, start).has_value());
  CHECK(pool.take(512, start).has_value());
  CHECK_FALSE(pool.take(256, start).has_value());
}

TEST_CASE("rows that were given back rest, and do not count as used meanwhile") {
  RowPool pool(256);
  REQUIRE(pool.take(256, start) == 0);
  CHECK(pool.used() == 256);
  pool.give_back(0, 256, start);
  CHECK(pool.used() == 0);
  CHECK_FALSE(pool.take(256, start + rest_time - tick).has_value());
  CHECK(pool.take(256, start + rest_time) == 0);
  CHECK(pool.used() == 256);
}

TEST_CASE("a copy that is woken gives out what rests, and leaves the original resting") {
  RowPool pool(512);
  for (int i = 0; i < 2; ++i) REQUIRE(pool.take(256, start));
  pool.give_back(0, 256, start);
  pool.give_back(256, 256, start);
  RowPool copy = pool;
  copy.wake();
  CHECK(copy.take(512, start) == 0);
  CHECK_FALSE(pool.take(256, start).has_value());
}

TEST_CASE("available ids are those never given out and those that rest") {
  IdPool pool(5);
  pool.reserve(2);
  CHECK(pool.available() == 3);
  REQUIRE(pool.take(start));
  CHECK(pool.available() == 2);
  pool.give_back(1, start);
  CHECK(pool.available() == 3);
}

TEST_CASE("neighbouring free rows merge, in whatever order they come back") {
  const std::vector<std::vector<u32>> orders{
      {0, 256, 512, 768}, {768, 512, 256, 0}, {0, 512, 256, 768}, {256, 768, 0, 512}};
  for (const auto& order : orders) {
    RowPool pool(1024);
    for (int i = 0; i < 4; ++i) REQUIRE(pool.take(256, start));
    for (const u32 first : order) pool.give_back(first, 256, start);
    CHECK(pool.take(1024, start + rest_time) == 0);
    CHECK(pool.used() == 1024);
  }
}

TEST_CASE("reserved rows are not given out") {
  RowPool pool(2048);
  pool.reserve(512, 512);
  CHECK(pool.used() == 512);
  CHECK(pool.take(1024, start) == 1024);
  CHECK(pool.take(512, start) == 0);
  CHECK_FALSE(pool.take(256, start).has_value());
}

TEST_CASE("rows that do not fit or are taken already are not reserved twice") {
  RowPool pool(1024);
  pool.reserve(0, 512);
  pool.reserve(0, 512);
  pool.reserve(768, 512);
  CHECK(pool.used() == 512);
  CHECK_FALSE(RowPool(0).take(256, start).has_value());
}

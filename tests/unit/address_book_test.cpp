// SPDX-License-Identifier: Apache-2.0
// What follows from the services and backends in the tables: filter bits, and who gets fragments.
#include "control/table/address_book.hpp"

#include <thread>

#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::backend;
using testing::Bed;
using testing::ip;
using testing::service;

const std::string vip = "tcp:203.0.113.10:80";

model::Service by_source(model::Service s) {
  s.hash = HashOn::source;
  return s;
}
model::Service web(HashOn hash = HashOn::source) {
  model::Service s = service("web", vip, {backend("198.51.100.1:8080")});
  s.hash = hash;
  return s;
}
u32 id_of(Bed& bed, const std::string& name) { return bed.publisher().placed(name)->id; }
u32 id_of(Bed& bed, const std::string& name, const std::string& endpoint) {
  return bed.publisher().placed(name)->backends.at(endpoint);
}
u32 bits(Bed& bed) {
  u32 count = 0;
  for (const u64 word : bed.memory().filter) count += static_cast<u32>(__builtin_popcountll(word));
  return count;
}
u32 bit_of(Bed& bed, const Ip& address) {
  return address_bit(address_word(address), bed.memory().globals->filter_shift);
}
/// Two addresses of one bit.
std::pair<std::string, std::string> twins(Bed& bed) {
  std::map<u32, std::string> seen;
  for (int i = 0;; ++i) {
    const std::string text = fmt::format("10.0.{}.{}", i / 250, 1 + i % 250);
    if (const auto [at, fresh] = seen.emplace(bit_of(bed, ip(text)), text); !fresh) return {at->second, text};
  }
}
/// Whether each key in the index is of an address whose bit is set.
bool every_key_is_expected(Bed& bed) {
  for (const IndexSlot& slot : bed.memory().slots)
    if (slot.word != 0 && !bed.expected(model::to_text(slot.address))) return false;
  return true;
}

}  // namespace

TEST_CASE("the filter knows VIPs and nat backends, and no backends of other modes") {
  Bed bed;
  bed.replace({web(), service("dsr", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")}, Mode::l2dsr),
               service("tun", "tcp:203.0.113.30:80", {backend("198.51.100.3:80")}, Mode::l2dsr),
               service("six", "tcp:[2001:db8:f::1]:80", {backend("[2001:db8:b::1]:80")})});
  for (const char* known :
       {"203.0.113.10", "203.0.113.20", "203.0.113.30", "198.51.100.1", "2001:db8:f::1", "2001:db8:b::1"})
    CHECK(bed.expected(known));
  CHECK(bits(bed) == 6);
  CHECK_FALSE(bed.expected("198.51.100.2"));
  CHECK(every_key_is_expected(bed));
  bed.replace({});
  CHECK(bits(bed) == 0);
}

TEST_CASE("a filter bit stays while any service or backend has an address of that bit") {
  Bed bed;
  const auto [one, other] = twins(bed);
  bed.replace({service("a", "tcp:" + one + ":80", {}), service("b", "tcp:" + one + ":81", {}),
               service("c", vip, {backend(other + ":80")})});
  bed.replace({service("a", "tcp:" + one + ":80", {}), service("c", vip, {backend(other + ":80")})});
  CHECK(bed.expected(one));
  bed.replace({service("c", vip, {backend(other + ":80")})});
  CHECK(bed.expected(other));
  bed.replace({service("c", vip, {})});
  CHECK_FALSE(bed.expected(other));
}

TEST_CASE("a filter bit is there before the first key of its address") {
  Bed bed;
  u32 asked = 0;
  bed.on_backend = [&](u32) {  // between two backends of one service
    CHECK(every_key_is_expected(bed));
    ++asked;
  };
  bed.replace({service("web", vip, {backend("198.51.100.1:80"), backend("198.51.100.2:80")})});
  CHECK(asked == 2);
}

TEST_CASE("fragments go to the only service of a VIP and protocol, if it hashes on the source") {
  Bed bed;
  bed.replace({web()});
  const u32 id = id_of(bed, "web");
  CHECK(bed.fragments_at("203.0.113.10") == id);
  CHECK(bed.fragments_at("203.0.113.10", 17) == 0);
  CHECK(bed.answer_fragments_at("198.51.100.1") == id_of(bed, "web", "198.51.100.1:8080"));

  SECTION("until a second service comes, and again when it has gone") {
    for (const char* second : {"tcp:203.0.113.10:443", "tcp:203.0.113.10:81"}) {
      bed.replace({web(), by_source(service("second", second, {backend("198.51.100.2:8443")}))});
      CHECK(bed.fragments_at("203.0.113.10") == 0);
      CHECK(bed.answer_fragments_at("198.51.100.2") != 0);
      bed.replace({web()});
      CHECK(bed.fragments_at("203.0.113.10") == id);
    }
  }
  SECTION("also beside a service of the other protocol") {
    bed.replace({web(), by_source(service("dns", "udp:203.0.113.10:53", {}))});
    CHECK(bed.fragments_at("203.0.113.10") == id);
    CHECK(bed.fragments_at("203.0.113.10", 17) == id_of(bed, "dns"));
  }
  SECTION("to the other one when the first goes") {
    const auto other = by_source(service("tls", "tcp:203.0.113.10:443", {}));
    bed.replace({web(), other});
    bed.replace({other});
    CHECK(bed.fragments_at("203.0.113.10") == id_of(bed, "tls"));
    CHECK(bed.answer_fragments_at("198.51.100.1") == 0);
  }
  SECTION("until it hashes on the 5-tuple, and again when it does not") {
    bed.replace({web(HashOn::five_tuple)});
    CHECK(bed.fragments_at("203.0.113.10") == 0);
    CHECK(bed.answer_fragments_at("198.51.100.1") == 0);
    CHECK(id_of(bed, "web") == id);
    bed.replace({web()});
    CHECK(bed.fragments_at("203.0.113.10") == id);
    CHECK(bed.answer_fragments_at("198.51.100.1") == id_of(bed, "web", "198.51.100.1:8080"));
  }
  SECTION("also under another name and another mode") {
    model::Service renamed = web();
    renamed.name = "www";
    bed.replace({renamed});
    CHECK(bed.fragments_at("203.0.113.10") == id_of(bed, "www"));
    CHECK(bed.answer_fragments_at("198.51.100.1") == id_of(bed, "www", "198.51.100.1:8080"));
    bed.replace({by_source(service("www", vip, {backend("198.51.100.1:80")}, Mode::l2dsr))});
    CHECK(bed.fragments_at("203.0.113.10") == id_of(bed, "www"));
    CHECK(bed.answer_fragments_at("198.51.100.1") == 0);
  }
  bed.replace({});
  CHECK(bed.fragments_at("203.0.113.10") == 0);
  CHECK(bed.answer_fragments_at("198.51.100.1") == 0);
}

TEST_CASE("a backend's fragments are mapped back while it is the only one of its address and protocol") {
  Bed bed;
  const auto tls = by_source(service("tls", "tcp:203.0.113.20:443", {backend("198.51.100.1:8443")}));
  bed.replace({web(), tls});
  CHECK(bed.answer_fragments_at("198.51.100.1") == 0);
  CHECK(bed.fragments_at("203.0.113.10") != 0);
  bed.replace({web()});
  CHECK(bed.answer_fragments_at("198.51.100.1") == id_of(bed, "web", "198.51.100.1:8080"));
  bed.replace({web(HashOn::five_tuple), tls});
  bed.replace({tls});
  CHECK(bed.answer_fragments_at("198.51.100.1") == id_of(bed, "tls", "198.51.100.1:8443"));
}

TEST_CASE("a second publisher has the same filter and fragment keys, and goes on counting from them") {
  Bed bed;
  const auto tls = by_source(service("tls", "tcp:203.0.113.10:443", {backend("198.51.100.2:8443")}));
  const auto gone = service("gone", "tcp:203.0.113.99:80", {backend("198.51.100.99:80")});
  bed.replace({web(), tls, gone});
  const u32 before = bits(bed);
  bed.restart();
  CHECK(bits(bed) == before);
  bed.replace({web(), tls});
  CHECK(bed.expected("203.0.113.99"));  // its key stands until settle
  bed.publisher().settle();
  CHECK_FALSE(bed.expected("203.0.113.99"));
  CHECK_FALSE(bed.expected("198.51.100.99"));
  CHECK(bits(bed) == before - 2);
  CHECK(bed.fragments_at("203.0.113.10") == 0);
  CHECK(bed.answer_fragments_at("198.51.100.2") == id_of(bed, "tls", "198.51.100.2:8443"));
  bed.replace({web()});
  CHECK(bed.fragments_at("203.0.113.10") == id_of(bed, "web"));
  bed.replace({});
  CHECK(bits(bed) == 0);
  CHECK(table::IndexWriter(bed.memory()).entries().empty());
}

TEST_CASE("bits and keys that an earlier daemon left wrong are right after settle") {
  Bed bed;
  bed.replace({web()});
  const u32 id = id_of(bed, "web");
  {
    table::IndexWriter index(bed.memory());
    index.erase({ip("203.0.113.10"), key_word(KeyKind::fragment, 6, Be16{0})}, id);
    index.put({ip("203.0.113.77"), key_word(KeyKind::vip, 0, Be16{0})}, 1);
    index.put({ip("203.0.113.77"), key_word(KeyKind::fragment, 6, Be16{0})}, 9);
    index.put({ip("198.51.100.77"), key_word(KeyKind::answer, 6, to_be(u16{80}))}, 9);
  }
  const u32 bit = bit_of(bed, ip("203.0.113.77"));
  bed.memory().filter[bit / 64] |= u64{1} << bit % 64;
  const u32 lost = bit_of(bed, ip("203.0.113.10"));
  bed.memory().filter[lost / 64] &= ~(u64{1} << lost % 64);
  bed.restart();
  CHECK(bed.expected("203.0.113.10"));  // at once: packets wait for nobody
  bed.replace({web()});
  bed.publisher().settle();
  CHECK(bed.fragments_at("203.0.113.10") == id);
  CHECK(bed.vip_at("203.0.113.77") == 0);
  CHECK(bed.answer_at("198.51.100.77", 80) == 0);
  CHECK_FALSE(bed.expected("203.0.113.77"));
  CHECK(bits(bed) == 2);
  CHECK(table::IndexWriter(bed.memory()).entries().size() == 5);
}

// SPDX-License-Identifier: Apache-2.0
// What the next daemon makes of tables whose writer was killed halfway.
#include "control/table/ports.hpp"
#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::backend;
using testing::Bed;
using testing::ip;
using testing::service;

struct Killed {};

u32 backends_in_use(Bed& bed) {
  u32 count = 0;
  for (const Backend& record : bed.memory().backends) count += record.in_use;
  return count;
}
std::size_t keys(Bed& bed) { return table::IndexWriter(bed.memory()).entries().size(); }

const model::Service web =
    service("web", "tcp:203.0.113.10:80", {backend("198.51.100.1:80"), backend("198.51.100.2:80")});
const model::Service tls =
    service("tls", "tcp:203.0.113.20:443", {backend("198.51.100.7:80"), backend("198.51.100.8:80")});

/// A publisher that dies when the second of the service's backends gets its id.
void die_publishing(Bed& bed, const model::Service& wanted) {
  u32 given = 0;
  bed.on_backend = [&](u32) {
    if (++given == 2) throw Killed{};
  };
  CHECK_THROWS_AS(bed.replace({web, wanted}), Killed);
  bed.on_backend = nullptr;
}

}  // namespace

TEST_CASE("backends whose service was never published are gone after the next start, with their keys and bits") {
  Bed bed;
  bed.replace({web});
  const auto before = keys(bed);
  die_publishing(bed, tls);
  CHECK(bed.answer_at("198.51.100.7", 80) != 0);  // the control: something is left behind
  CHECK(backends_in_use(bed) == 3);
  bed.restart();
  CHECK(bed.answer_at("198.51.100.7", 80) == 0);
  CHECK(backends_in_use(bed) == 2);
  CHECK_FALSE(bed.expected("198.51.100.7"));
  CHECK(keys(bed) == before);
  bed.replace({web, tls});
  bed.publisher().settle();
  CHECK(bed.answer_at("198.51.100.7", 80) == bed.publisher().placed("tls")->backends.at("198.51.100.7:80"));
  CHECK(backends_in_use(bed) == 4);
}

TEST_CASE("a backend that was added to a standing service by a killed daemon is gone unless it is wanted") {
  for (const bool wanted : {false, true}) {
    Bed bed;
    bed.replace({web});
    model::Service grown = web;
    grown.backends.push_back(backend("198.51.100.7:80"));
    grown.backends.push_back(backend("198.51.100.8:80"));
    u32 given = 0;
    bed.on_backend = [&](u32) {
      if (++given == 2) throw Killed{};
    };
    CHECK_THROWS_AS(bed.replace({grown}), Killed);
    bed.on_backend = nullptr;
    bed.restart();
    bed.replace({wanted ? grown : web});
    bed.publisher().settle();
    CHECK((bed.answer_at("198.51.100.7", 80) != 0) == wanted);
    CHECK(bed.expected("198.51.100.7") == wanted);
    CHECK(backends_in_use(bed) == (wanted ? 4 : 2));
  }
}

TEST_CASE("a service that was half withdrawn is gone after the next start") {
  Bed bed;
  bed.replace({web, tls});
  const u32 id = bed.publisher().placed("tls")->id;
  // As Publisher::remove leaves it between the service and its backends.
  table::IndexWriter(bed.memory()).erase({ip("203.0.113.20"), key_word(KeyKind::service, 6, to_be(u16{443}))}, id);
  bed.memory().services[id].in_use = 0;
  bed.restart();
  CHECK(bed.answer_at("198.51.100.7", 80) == 0);
  CHECK(backends_in_use(bed) == 2);
  bed.replace({web});
  bed.publisher().settle();
  CHECK(bed.vip_at("203.0.113.20") == 0);
  CHECK_FALSE(bed.expected("203.0.113.20"));
  CHECK(keys(bed) == 4);
}

TEST_CASE("ports of interfaces that an earlier daemon used are stale, wanted and empty ones are not") {
  Bed bed;
  CHECK(table::stale_ports(bed.memory(), {Bed::ingress, Bed::egress}).empty());
  CHECK(table::stale_ports(bed.memory(), {Bed::ingress, 0}) == std::vector<u32>{Bed::egress});
  table::leave_port(bed.memory(), Bed::egress);
  CHECK(table::stale_ports(bed.memory(), {Bed::ingress}).empty());
  table::enter_port(bed.memory(), Bed::egress + port_count, Bed::egress_mac);
  table::leave_port(bed.memory(), Bed::egress);  // another interface of that index has moved in
  CHECK(table::stale_ports(bed.memory(), {Bed::ingress}) == std::vector<u32>{Bed::egress + port_count});
}

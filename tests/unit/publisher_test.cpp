// SPDX-License-Identifier: Apache-2.0
// Long because every order of publication, and every failure on the way, is a case of its own.
// Long because a publisher is tested by what it leaves in the tables: all tests ask the same few questions of them.
#include "control/table/publisher.hpp"

#include <thread>

#include "control/table/race.hpp"
#include "tests/unit/table_fixture.hpp"

namespace {

using namespace weir;
using testing::backend;
using testing::Bed;
using testing::ip;
using testing::service;

const std::string vip = "tcp:203.0.113.10:80";
std::vector<model::Backend> three() {
  return {backend("198.51.100.1:8080"), backend("198.51.100.2:8080"), backend("198.51.100.3:8080")};
}

u32 in_use(Bed& bed) {
  u32 count = 0;
  for (const Service& record : bed.memory().services) count += record.in_use;
  for (const Backend& record : bed.memory().backends) count += record.in_use;
  return count;
}
u32 keys(Bed& bed) { return static_cast<u32>(table::IndexWriter(bed.memory()).entries().size()); }

/// Whether the rows in memory are those that the race gives for `wanted`.
bool rows_are_raced(Bed& bed, const model::Service& wanted) {
  const table::Placed& placed = *bed.publisher().placed(wanted.name);
  std::vector<table::Member> members;
  for (const model::Backend& b : wanted.backends)
    members.push_back({b.endpoint, b.effective_weight(), placed.backends.at(model::to_text(b.endpoint))});
  const auto owners = table::build(Bed::seed, wanted.protocol, wanted.vip, members, wanted.rows);
  const u32 first = table_first_row(bed.memory().services[placed.id].table);
  std::unordered_map<u32, u32> owned;
  for (u32 i = 0; i < wanted.rows; ++i) {
    const u32 owner = owners[i] == table::no_member ? nobody : owners[i];
    if (row_owner(bed.memory().rows[first + i]) != owner) return false;
    ++owned[owner];
  }
  return owned == placed.rows_owned && first == placed.first_row && placed.rows == wanted.rows &&
         1U << table_log2_rows(bed.memory().services[placed.id].table) == wanted.rows;
}

u32 id_of(Bed& bed, const std::string& name) { return bed.publisher().placed(name)->id; }
u32 id_of(Bed& bed, const std::string& name, const std::string& endpoint) {
  return bed.publisher().placed(name)->backends.at(endpoint);
}

}  // namespace

TEST_CASE("an added service is found, and its records say what the model says") {
  Bed bed;
  const model::Service web = service("web", vip, three());
  bed.replace({web});
  const u32 id = id_of(bed, "web");
  CHECK(bed.service_at("203.0.113.10", 80) == id);
  CHECK(bed.service_at("203.0.113.10", 80, 17) == 0);
  CHECK(bed.vip_at("203.0.113.10") == static_cast<u32>(VipState::foreign));
  CHECK(rows_are_raced(bed, web));
  const Service& record = bed.memory().services[id];
  CHECK((record.vip == ip("203.0.113.10") && to_host(record.port) == 80 && record.mode == Mode::nat));
  for (const model::Backend& b : web.backends) {
    const u32 backend_id = id_of(bed, "web", model::to_text(b.endpoint));
    CHECK(bed.answer_at(model::to_text(b.endpoint.address), 8080) == backend_id);
    const Backend& at = bed.memory().backends[backend_id];
    CHECK((at.address == b.endpoint.address && to_host(at.port) == 8080 && at.service == id && at.in_use == 1));
    CHECK(at.hop == hop_word(Bed::backend_mac, Bed::egress));
  }
  CHECK(bed.publisher().rows_used() == 256);
}

TEST_CASE("a reweighted, drained or grown service keeps its ids, and its rows are those of the race") {
  Bed bed;
  model::Service web = service("web", vip, three());
  bed.replace({web});
  const u32 id = id_of(bed, "web");
  const auto backends = bed.publisher().placed("web")->backends;
  const auto unchanged = [&] {
    CHECK(id_of(bed, "web") == id);
    for (const auto& [endpoint, backend_id] : backends) CHECK(id_of(bed, "web", endpoint) == backend_id);
    CHECK(rows_are_raced(bed, web));
  };
  web.backends[0].weight = 300;
  bed.replace({web});
  unchanged();
  web.backends[1].admin = Admin::draining;
  bed.replace({web});
  unchanged();
  CHECK_FALSE(bed.publisher().placed("web")->rows_owned.contains(id_of(bed, "web", "198.51.100.2:8080")));
  CHECK(bed.answer_at("198.51.100.2", 8080) != 0);
  web.backends.push_back(backend("198.51.100.9:8080", 50));
  bed.replace({web});
  unchanged();
  web.hash = HashOn::source;
  web.rows = 1024;
  bed.replace({web});
  unchanged();
  CHECK(table_hash(bed.memory().services[id].table) == HashOn::source);
  CHECK(bed.backends_given.size() == 4);
  CHECK(bed.services_given.size() == 1);
}

TEST_CASE("a service whose backends all have weight zero owns rows of nobody") {
  Bed bed;
  const model::Service web = service("web", vip, {backend("198.51.100.1:8080", 0)});
  bed.replace({web});
  CHECK(rows_are_raced(bed, web));
  CHECK(bed.publisher().placed("web")->rows_owned.at(nobody) == 256);
}

TEST_CASE("a removed backend loses its answer key and its record") {
  Bed bed;
  model::Service web = service("web", vip, three());
  bed.replace({web});
  const u32 gone = id_of(bed, "web", "198.51.100.2:8080");
  web.backends.erase(web.backends.begin() + 1);
  bed.replace({web});
  CHECK(bed.answer_at("198.51.100.2", 8080) == 0);
  CHECK(bed.memory().backends[gone].in_use == 0);
  CHECK(rows_are_raced(bed, web));
}

TEST_CASE("nothing is left when everything has been removed") {
  Bed bed;
  bed.replace({service("web", vip, three()), service("tls", "tcp:203.0.113.10:443", {backend("198.51.100.1:8443")}),
               service("dsr", "udp:[2001:db8:f::10]:53", {backend("[2001:db8:b::1]:53")}, Mode::l2dsr, 1024)});
  CHECK(in_use(bed) == 8);
  CHECK(keys(bed) == 3 + 2 + 4);
  bed.replace({service("web", vip, three())});
  CHECK(bed.vip_at("203.0.113.10") != 0);
  CHECK(bed.vip_at("2001:db8:f::10") == 0);
  bed.replace({});
  CHECK(in_use(bed) == 0);
  CHECK(keys(bed) == 0);
  CHECK(bed.publisher().placed("web") == nullptr);
}

TEST_CASE("a renamed service is found at every moment and its backends answer for the new one") {
  Bed bed;
  bed.replace({service("web", vip, three())});
  bed.replace({service("www", vip, three())});
  CHECK(bed.publisher().placed("web") == nullptr);
  const u32 id = id_of(bed, "www");
  CHECK(bed.service_at("203.0.113.10", 80) == id);
  CHECK(bed.vip_at("203.0.113.10") != 0);
  for (const auto& [endpoint, backend_id] : bed.publisher().placed("www")->backends) {
    CHECK(bed.memory().backends[backend_id].service == id);
    CHECK(bed.answer_at(endpoint.substr(0, endpoint.find(':')), 8080) == backend_id);
  }
  CHECK(in_use(bed) == 4);
}

TEST_CASE("two services can swap their VIPs in one plan") {
  Bed bed;
  const std::string other = "tcp:203.0.113.20:80";
  bed.replace({service("a", vip, {backend("198.51.100.1:80")}), service("b", other, {backend("198.51.100.2:80")})});
  bed.replace({service("a", other, {backend("198.51.100.1:80")}), service("b", vip, {backend("198.51.100.2:80")})});
  CHECK(bed.service_at("203.0.113.20", 80) == id_of(bed, "a"));
  CHECK(bed.service_at("203.0.113.10", 80) == id_of(bed, "b"));
  CHECK(bed.answer_at("198.51.100.1", 80) == id_of(bed, "a", "198.51.100.1:80"));
  CHECK(in_use(bed) == 4);
  CHECK(keys(bed) == 6);
}

TEST_CASE("a nat backend that moves between services answers for its new owner, in either order") {
  for (const bool forth : {true, false}) {
    Bed bed;
    const auto state = [](bool in_a) {
      std::vector<model::Backend> a{backend("198.51.100.1:80")}, b{backend("198.51.100.2:80")};
      (in_a ? a : b).push_back(backend("198.51.100.9:80"));
      return std::vector{service("a", vip, a), service("b", "tcp:203.0.113.20:80", b)};
    };
    bed.replace(state(forth));
    bed.replace(state(!forth));
    const std::string owner = forth ? "b" : "a";
    const u32 id = bed.answer_at("198.51.100.9", 80);
    CHECK(id == id_of(bed, owner, "198.51.100.9:80"));
    CHECK(bed.memory().backends[id].service == id_of(bed, owner));
    CHECK(in_use(bed) == 5);
  }
}

TEST_CASE("a service whose mode changes is a new one, with answer keys only in nat") {
  Bed bed;
  const std::vector<model::Backend> backends{backend("198.51.100.1:80")};
  bed.replace({service("web", vip, backends)});
  bed.replace({service("web", vip, backends, Mode::l2dsr)});
  CHECK(bed.memory().services[bed.service_at("203.0.113.10", 80)].mode == Mode::l2dsr);
  CHECK(bed.answer_at("198.51.100.1", 80) == 0);
  CHECK(in_use(bed) == 2);
  bed.replace({service("web", vip, backends)});
  CHECK(bed.answer_at("198.51.100.1", 80) == id_of(bed, "web", "198.51.100.1:80"));
  CHECK(bed.vip_at("203.0.113.10") != 0);
  CHECK(in_use(bed) == 2);
}

TEST_CASE("a new hop reaches every backend record with that address and no other") {
  Bed bed;
  bed.replace({service("web", vip, three()), service("tls", "tcp:203.0.113.10:443", {backend("198.51.100.1:8443")}),
               service("dsr", "tcp:203.0.113.20:80", {backend("198.51.100.1:80")}, Mode::l2dsr)});
  const u64 before = hop_word(Bed::backend_mac, Bed::egress);
  const u64 after = hop_word(0x1234'5678'9a02, Bed::ingress);
  bed.publisher().set_hop(ip("198.51.100.1"), {after, 1500});
  u32 reached = 0;
  for (const Backend& record : bed.memory().backends) {
    if (record.in_use == 0) continue;
    CHECK(record.hop == (record.address == ip("198.51.100.1") ? after : before));
    reached += record.hop == after;
  }
  CHECK(reached == 3);
}

TEST_CASE("a VIP's state follows the host's addresses, for VIPs alone") {
  Bed bed;
  bed.local = {"203.0.113.20"};
  bed.replace({service("web", vip, three()), service("own", "tcp:203.0.113.20:80", {})});
  CHECK(bed.vip_at("203.0.113.20") == static_cast<u32>(VipState::local));
  bed.publisher().set_local(ip("203.0.113.10"), true);
  CHECK(bed.vip_at("203.0.113.10") == static_cast<u32>(VipState::local));
  bed.publisher().set_local(ip("203.0.113.10"), false);
  CHECK(bed.vip_at("203.0.113.10") == static_cast<u32>(VipState::foreign));
  bed.publisher().set_local(ip("192.0.2.1"), true);
  CHECK(bed.vip_at("192.0.2.1") == 0);
}

TEST_CASE("a second publisher keeps ids and rows of what is wanted again, and settle removes the rest") {
  Bed bed;
  const model::Service web = service("web", vip, three());
  bed.replace({web, service("old", "tcp:203.0.113.20:80", {backend("198.51.100.7:80")})});
  const table::Placed before = *bed.publisher().placed("web");
  const auto given = bed.backends_given.size();

  bed.restart();
  model::Service wanted = web;
  wanted.backends.pop_back();
  wanted.backends.push_back(backend("198.51.100.8:8080"));
  bed.replace({wanted});
  CHECK(id_of(bed, "web") == before.id);
  CHECK(bed.publisher().placed("web")->first_row == before.first_row);
  for (const std::string kept : {"198.51.100.1:8080", "198.51.100.2:8080"})
    CHECK(id_of(bed, "web", kept) == before.backends.at(kept));
  CHECK(bed.backends_given.size() == given + 1);
  CHECK(rows_are_raced(bed, wanted));
  CHECK(bed.service_at("203.0.113.20", 80) != 0);  // stays until settle

  bed.publisher().settle();
  CHECK(bed.service_at("203.0.113.20", 80) == 0);
  CHECK(bed.vip_at("203.0.113.20") == 0);
  CHECK(bed.answer_at("198.51.100.7", 80) == 0);
  CHECK(bed.answer_at("198.51.100.3", 8080) == 0);
  CHECK(bed.service_at("203.0.113.10", 80) == before.id);
  CHECK(in_use(bed) == 4);
  bed.publisher().set_hop(ip("198.51.100.1"), {});
  CHECK(bed.memory().backends[before.backends.at("198.51.100.1:8080")].hop == 0);
  bed.replace({});
  CHECK(in_use(bed) == 0);
  CHECK(keys(bed) == 0);
}

TEST_CASE("a backend that moved while the daemon was down answers for its new service after settle") {
  Bed bed;
  bed.replace({service("a", vip, {backend("198.51.100.1:80"), backend("198.51.100.9:80")}),
               service("b", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")})});
  bed.restart();
  bed.replace({service("a", vip, {backend("198.51.100.1:80")}),
               service("b", "tcp:203.0.113.20:80", {backend("198.51.100.2:80"), backend("198.51.100.9:80")})});
  bed.publisher().settle();
  CHECK(bed.answer_at("198.51.100.9", 80) == id_of(bed, "b", "198.51.100.9:80"));
  CHECK(in_use(bed) == 5);
}

TEST_CASE("a table that is full is a fault that names the service") {
  Bed bed(sizes_for(2, 2, 512));
  bed.replace({service("one", vip, {})});
  const auto rows =
      bed.try_replace({service("one", vip, {}), service("big", "tcp:203.0.113.20:80", {}, Mode::nat, 512)});
  REQUIRE_FALSE(rows);
  CHECK(rows.error().message.find("\"big\"") != std::string::npos);
  const auto backends = bed.try_replace({service("one", vip, three())});
  REQUIRE_FALSE(backends);
  CHECK(backends.error().fault == Fault::internal);
}

TEST_CASE("from its first moment an answer key leads to the VIP of its service, also under an id with a past") {
  Bed bed(sizes_for(1, 8, 512));
  bed.replace({service("old", "tcp:203.0.113.99:80", {backend("198.51.100.7:80")})});
  bed.replace({});
  std::this_thread::sleep_for(table::rest_time);
  u32 asked = 0;
  bed.on_backend = [&](u32) {  // between two backends of one service
    for (const IndexSlot& slot : bed.memory().slots) {
      if (slot.word == 0 || (slot.word >> 24 & 0xff) != static_cast<u64>(KeyKind::answer)) continue;
      const Service& record = bed.memory().services[bed.memory().backends[slot.word >> 32].service];
      CHECK((record.vip == ip("203.0.113.10") && to_host(record.port) == 80));
      ++asked;
    }
  };
  bed.replace({service("web", vip, three())});
  CHECK(asked == 3);
}

TEST_CASE("a plan that fails for want of room leaves no record and no key behind") {
  Bed bed(sizes_for(2, 8, 512));
  bed.replace({service("one", vip, {backend("198.51.100.1:80")})});
  const u32 records = in_use(bed);
  const u32 held = keys(bed);
  REQUIRE_FALSE(bed.try_replace({service("one", vip, {backend("198.51.100.1:80")}),
                                 service("big", "tcp:203.0.113.20:80", {backend("198.51.100.2:80")}, Mode::nat, 512)}));
  CHECK(in_use(bed) == records);
  CHECK(keys(bed) == held);
}

TEST_CASE("a plan that needs the room of what goes leaves no record of its first try") {
  Bed bed(sizes_for(3, 8, 512));
  bed.replace({service("one", vip, {backend("198.51.100.1:80")}), service("two", "tcp:203.0.113.20:80", {})});
  bed.replace({service("big", "tcp:203.0.113.30:80", {backend("198.51.100.2:80")}, Mode::nat, 512)});
  CHECK(bed.answer_at("198.51.100.2", 80) == id_of(bed, "big", "198.51.100.2:80"));
  CHECK(in_use(bed) == 2);
}

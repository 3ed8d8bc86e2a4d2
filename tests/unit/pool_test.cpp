// SPDX-License-Identifier: Apache-2.0
// Long because the rules between services are many and each has its refusal and its sentence.
#include "control/model/pool.hpp"

#include <catch2/catch.hpp>

#include "control/model/text.hpp"

namespace {

using namespace weir::model;
using weir::Admin;
using weir::Fault;
using weir::HashOn;
using weir::Mode;
using weir::Result;
using weir::u32;
using Lines = std::vector<std::string>;

Backend backend(const std::string& name, const std::string& endpoint, u32 weight = 100) {
  return {name, *parse_endpoint(endpoint), weight, Admin::active};
}

Service service(const std::string& name, const std::string& vip, std::vector<Backend> backends = {},
                Mode mode = Mode::nat) {
  const Vip parsed = *parse_vip(vip);
  return {.name = name,
          .vip = parsed.endpoint,
          .protocol = parsed.protocol,
          .mode = mode,
          .on_remove = default_on_remove(parsed.protocol),
          .idle = default_idle(parsed.protocol),
          .backends = std::move(backends)};
}

/// "web" with b1 and b2.
Service web() {
  return service("web", "203.0.113.10:80", {backend("b1", "198.51.100.11:8080"), backend("b2", "198.51.100.12:8080")});
}

/// Plans and commits; what it said, or "FAULT: message".
Lines change(Pool& pool, const Mutation& mutation, bool force = false, weir::u64 now = 1000) {
  const auto plan = pool.plan(mutation, force, now);
  if (plan) pool.commit(*plan);
  if (plan) return plan->lines;
  const char* const faults[] = {"invalid", "not_found", "conflict", "refused", "internal"};
  return {fmt::format("{}: {}", faults[static_cast<int>(plan.error().fault)], plan.error().message)};
}

std::string refusal(Pool& pool, const Mutation& mutation) { return change(pool, mutation).at(0); }

Pool pool_with(std::vector<Service> services, Limits limits = {}, const Tunnel& tunnel = {}) {
  Pool pool(limits, tunnel);
  REQUIRE(pool.plan(Replace{services}, false).map([&](const Plan& plan) { pool.commit(plan); }).has_value());
  return pool;
}

TEST_CASE("a planned change moves nothing until it is committed") {
  Pool pool = pool_with({web()});
  const auto plan = pool.plan(DeleteBackend{"web", "b1"}, false);
  REQUIRE(plan.has_value());
  CHECK(*pool.find("web") == web());
  pool.commit(*plan);
  CHECK(pool.find("web")->find("b1") == nullptr);
  CHECK(pool.find("web")->find("b2") != nullptr);
}

TEST_CASE("each object that changes is one line, old -> new") {
  Pool pool({});
  CHECK(change(pool, AddService{web()}) == Lines{"web added", "web/b1 added", "web/b2 added"});
  CHECK(change(pool, AddBackend{"web", backend("b4", "198.51.100.14:80")}) == Lines{"web/b4 added"});
  CHECK(change(pool, SetBackend{"web", "b1", 50, {}}) == Lines{"web/b1 weight 100 -> 50"});
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::draining}) == Lines{"web/b1 active -> draining"});
  CHECK(change(pool, SetBackend{"web", "b1", 60, Admin::maint}) == Lines{"web/b1 weight 50 -> 60, draining -> maint"});
  CHECK(change(pool, SetService{"web", HashOn::source, 256, 1400}) ==
        Lines{"web hash 5tuple -> source, rows 65536 -> 256, mss 0 -> 1400"});
  CHECK(change(pool, DeleteBackend{"web", "b1"}) == Lines{"web/b1 removed"});
  Service other = web();
  other.backends = {backend("b2", "198.51.100.12:81")};
  other.vip.port = 8080;
  CHECK(change(pool, Replace{{other}}) == Lines{"web vip tcp:203.0.113.10:80 -> tcp:203.0.113.10:8080, hash source -> "
                                                "5tuple, rows 256 -> 65536, mss 1400 -> 0",
                                                "web/b2 address 198.51.100.12:8080 -> 198.51.100.12:81",
                                                "web/b4 removed"});
  CHECK(change(pool, DeleteService{"web"}, true) == Lines{"web removed", "web/b2 removed"});
  CHECK(pool.services().empty());
}

TEST_CASE("asking for what is already so is no change") {
  Pool pool = pool_with({web()});
  Service bare = web();
  bare.backends.clear();
  Service reordered = web();
  std::swap(reordered.backends[0], reordered.backends[1]);
  const std::vector<Mutation> same{AddService{web()},
                                   AddService{bare},
                                   AddService{reordered},
                                   AddBackend{"web", web().backends[0]},
                                   AddBackend{"web", backend("", "198.51.100.11:8080")},
                                   SetBackend{"web", "b1", 100, Admin::active},
                                   SetBackend{"web", "b1", {}, {}},
                                   SetService{"web", HashOn::five_tuple, default_rows, 0},
                                   Replace{{web()}},
                                   Replace{{reordered}}};
  for (const Mutation& mutation : same) {
    const auto plan = pool.plan(mutation, false);
    REQUIRE(plan.has_value());
    CHECK(plan->steps.empty());
    CHECK(plan->lines.empty());
  }
}

TEST_CASE("a service's way with flows changes field by field") {
  Pool pool = pool_with({web()});
  SetService set{"web"};
  set.track = Track::all;
  set.on_remove = OnRemove::reset;
  set.settle = 60;
  set.idle = 5400;
  set.idle_closing = 5;
  CHECK(change(pool, set) == Lines{"web track changes -> all, on-remove keep -> reset, settle 15m -> 1m, "
                                   "idle 3h -> 1h30m, idle-closing 1m -> 5s"});
  CHECK(pool.find("web")->settle == 60);
  CHECK(change(pool, set).empty());
  SetService wrong{"web"};
  wrong.idle = 0;
  CHECK(refusal(pool, wrong) == "invalid: web: idle 0s is outside 1s..168h");
  wrong.idle = 7 * 24 * 3600 + 1;
  CHECK(refusal(pool, wrong) == "invalid: web: idle 168h1s is outside 1s..168h");
}

TEST_CASE("a drain begins when it is asked for, goes on when asked for again, and ends with draining") {
  Pool pool = pool_with({web()});
  const auto drain = [&pool] { return pool.find("web")->find("b1")->drain; };
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::draining}, false, 1000) == Lines{"web/b1 active -> draining"});
  CHECK(drain() == Drain{1000});
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::draining}, false, 2000).empty());
  CHECK(change(pool, SetBackend{"web", "b1", 50}, false, 2000) == Lines{"web/b1 weight 100 -> 50"});
  CHECK(drain() == Drain{1000});
  const SetBackend terms{"web", "b1", {}, Admin::draining, Drain{77, 600, true, true}};
  CHECK(change(pool, terms, false, 3000) ==
        Lines{"web/b1 draining -> draining (deadline 10m, force after, then remove)"});
  CHECK(drain() == Drain{3000, 600, true, true});
  CHECK(change(pool, terms, false, 4000).empty());
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::draining}, false, 4000).empty());
  CHECK(drain() == Drain{3000, 600, true, true});
  CHECK(change(pool, SetBackend{"web", "b1", {}, {}, Drain{0, 600}}, false, 5000) ==
        Lines{"web/b1 draining (deadline 10m, force after, then remove) -> draining (deadline 10m)"});
  CHECK(drain() == Drain{5000, 600});
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::active}) == Lines{"web/b1 draining (deadline 10m) -> active"});
  CHECK_FALSE(drain());
  change(pool, SetBackend{"web", "b1", {}, Admin::draining});
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::maint}) == Lines{"web/b1 draining -> maint"});
  CHECK_FALSE(drain());
}

TEST_CASE("a set of services that is applied again leaves its drains as they are") {
  Service wanted = web();
  wanted.backends[0].admin = Admin::draining;
  Pool pool({});
  CHECK(change(pool, Replace{{wanted}}, false, 1000).size() == 3);
  CHECK(pool.find("web")->find("b1")->drain == Drain{1000});
  CHECK(change(pool, Replace{{wanted}}, false, 2000).empty());
  CHECK(change(pool, AddService{wanted}, false, 2000).empty());
  CHECK(change(pool, AddBackend{"web", wanted.backends[0]}, false, 2000).empty());
  CHECK(change(pool, Replace{{*pool.find("web")}}, false, 2000).empty());
  wanted.backends[0].drain = Drain{500};
  CHECK(change(pool, Replace{{wanted}}, false, 2000) == Lines{"web/b1 drain started 1000 -> 500"});
  wanted.backends[0].drain = Drain{0, 60};
  CHECK(change(pool, Replace{{wanted}}, false, 3000) == Lines{"web/b1 draining -> draining (deadline 1m)"});
  CHECK(pool.find("web")->find("b1")->drain == Drain{3000, 60});
  CHECK(change(pool, Replace{{web()}}) == Lines{"web/b1 draining (deadline 1m) -> active"});
  CHECK(*pool.find("web") == web());
}

TEST_CASE("terms of a drain that contradict themselves are refused") {
  Pool pool = pool_with({web()});
  CHECK(refusal(pool, SetBackend{"web", "b1", {}, Admin::draining, Drain{.force_after = true}}) ==
        "invalid: web/b1: force-after ends flows at the deadline, and the drain has none; give a deadline");
  CHECK(refusal(pool, SetBackend{"web", "b1", {}, {}, Drain{}}) ==
        "invalid: web/b1: terms of a drain go with admin draining, and the backend is active");
  CHECK(refusal(pool, SetBackend{"web", "b1", {}, Admin::maint, Drain{}}) ==
        "invalid: web/b1: terms of a drain go with admin draining, and the backend is maint");
  CHECK(refusal(pool, SetBackend{"web", "b1", {}, Admin::draining, Drain{.deadline = 604801}}) ==
        "invalid: web/b1: deadline 168h1s is outside 0s..168h");
}

TEST_CASE("the settle window of UDP ends with the idle time") {
  Service dns = service("dns", "udp:203.0.113.10:53");
  CHECK(dns.settle_window() == 30);
  dns.settle = 10;
  CHECK(dns.settle_window() == 10);
  CHECK(web().settle_window() == 900);
}

TEST_CASE("a backend without a name is named after its endpoint") {
  Pool pool = pool_with({web()});
  CHECK(change(pool, AddBackend{"web", backend("", "198.51.100.13:80")}) == Lines{"web/198.51.100.13-80 added"});
}

TEST_CASE("adding something else under a name in use is a conflict that names the difference") {
  Pool pool = pool_with({web()});
  CHECK(refusal(pool, AddService{service("web", "203.0.113.10:81")}) ==
        "conflict: service \"web\" exists and differs (web vip tcp:203.0.113.10:80 -> tcp:203.0.113.10:81); change it "
        "with set, or delete it first");
  CHECK(refusal(pool, AddBackend{"web", backend("b1", "198.51.100.11:8080", 7)}) ==
        "conflict: backend web/b1 exists and differs (web/b1 weight 100 -> 7); change it with set, or delete it first");
}

TEST_CASE("what does not exist cannot be changed or deleted") {
  Pool pool = pool_with({web()});
  CHECK(refusal(pool, DeleteService{"shop"}) == "not_found: there is no service \"shop\"");
  CHECK(refusal(pool, SetService{"shop", {}, {}, {}}) == "not_found: there is no service \"shop\"");
  CHECK(refusal(pool, AddBackend{"shop", backend("", "192.0.2.9:1")}) == "not_found: there is no service \"shop\"");
  CHECK(refusal(pool, DeleteBackend{"web", "b9"}) == "not_found: service \"web\" has no backend \"b9\"");
  CHECK(refusal(pool, SetBackend{"web", "b9", 1, {}}) == "not_found: service \"web\" has no backend \"b9\"");
}

TEST_CASE("a VIP, port and protocol belongs to one service") {
  Pool pool = pool_with({web()});
  CHECK(refusal(pool, AddService{service("shop", "203.0.113.10:80")}) ==
        "conflict: shop: 203.0.113.10:80/tcp is already the VIP of service \"web\"; one VIP, port and protocol belongs "
        "to one service");
  CHECK(change(pool, AddService{service("dns", "udp:203.0.113.10:80")}) == Lines{"dns added"});
  CHECK(change(pool, AddService{service("tls", "203.0.113.10:443")}) == Lines{"tls added"});
  CHECK_FALSE(Pool({}).plan(Replace{{web(), service("shop", "203.0.113.10:80")}}, true).has_value());
}

TEST_CASE("two nat services cannot share a backend's address, port and protocol") {
  Pool pool = pool_with({web()});
  CHECK(refusal(pool, AddService{service("shop", "203.0.113.11:80", {backend("x", "198.51.100.12:8080")})}) ==
        "conflict: shop/x: 198.51.100.12:8080/tcp is already backend web/b2; two nat services cannot share a backend's "
        "address, port and protocol, because its answers could not be told apart; let the server listen on a second "
        "port or use l2dsr");
  CHECK(change(pool, AddService{service("dns", "udp:203.0.113.11:80", {backend("x", "198.51.100.12:8080")})}).size() ==
        2);
  CHECK(change(pool, AddService{service("dsr", "203.0.113.11:8080", {backend("x", "198.51.100.12:8080")}, Mode::l2dsr)})
            .size() == 2);
}

TEST_CASE("an endpoint is free again once its service or backend is gone") {
  Pool pool = pool_with({web()});
  change(pool, DeleteBackend{"web", "b2"});
  CHECK(change(pool, AddService{service("shop", "203.0.113.11:80", {backend("x", "198.51.100.12:8080")})}).size() == 2);
  change(pool, DeleteService{"web"}, true);
  CHECK(change(pool, AddService{service("web2", "203.0.113.10:80", {backend("x", "198.51.100.11:8080")})}).size() == 2);
}

TEST_CASE("two services may swap their VIPs and backends in one replacement, and hold them afterwards") {
  const Service a = service("a", "203.0.113.1:80", {backend("x", "198.51.100.1:80")});
  const Service b = service("b", "203.0.113.2:80", {backend("x", "198.51.100.2:80")});
  Pool pool = pool_with({a, b});
  Service a2 = b;
  Service b2 = a;
  a2.name = "a";
  b2.name = "b";
  CHECK(change(pool, Replace{{a2, b2}}).size() == 4);
  CHECK_THAT(refusal(pool, AddService{service("c", "203.0.113.1:80")}), Catch::Contains("VIP of service \"b\""));
  CHECK_THAT(refusal(pool, AddService{service("c", "203.0.113.2:80")}), Catch::Contains("VIP of service \"a\""));
  CHECK_THAT(refusal(pool, AddService{service("c", "203.0.113.3:80", {backend("y", "198.51.100.2:80")})}),
             Catch::Contains("already backend a/x"));
}

TEST_CASE("a service that breaks a rule by itself is refused with the rule") {
  Pool pool({});
  const auto complaint = [&](const Service& wrong) { return refusal(pool, AddService{wrong}); };
  const auto with = [](const std::string& vip, const Backend& b, Mode mode = Mode::nat) {
    return service("web", vip, {b}, mode);
  };
  CHECK(complaint(service("We b", "203.0.113.10:80")) ==
        "invalid: the service name \"We b\" begins with something else than a-z or 0-9");
  CHECK(complaint(with("203.0.113.10:80", backend("a/b", "198.51.100.1:80"))) ==
        "invalid: web/a/b: the name \"a/b\" has a character outside a-z 0-9 . _ -");
  CHECK(complaint(with("203.0.113.10:80", backend("b1", "198.51.100.1:80", 65536))) ==
        "invalid: web/b1: weight 65536 is outside 0..65535");
  CHECK(complaint(with("203.0.113.10:80", backend("b1", "198.51.100.1:8080"), Mode::l2dsr)) ==
        "invalid: web/b1: port 8080 differs from the VIP's port 80; l2dsr does not rewrite ports, so both must be "
        "equal");
  CHECK(complaint(with("203.0.113.10:80", backend("b1", "[2001:db8::1]:80"), Mode::l2dsr)) ==
        "invalid: web/b1: address 2001:db8::1 is not of the VIP's family (203.0.113.10); l2dsr does not translate "
        "between IPv4 and IPv6");
  CHECK_THAT(complaint(with("[2001:db8::10]:80", backend("b1", "198.51.100.1:80"))),
             Catch::Contains("nat does not translate between IPv4 and IPv6"));
  CHECK(complaint(with("203.0.113.10:80", backend("b1", "203.0.113.10:80"))) ==
        "invalid: web/b1: address 203.0.113.10 is the VIP itself; write the server's own address");
  Service no_port = web();
  no_port.vip.port = 0;
  CHECK(complaint(no_port) ==
        "invalid: web/b1: port 8080 under the VIP's port 0 (every port): the client's port is kept; write port 0");
  CHECK(complaint(with("203.0.113.10:80", backend("b1", "198.51.100.1:0"))) ==
        "invalid: web/b1: port 0 keeps the client's port, which is for a VIP with port 0 (every port); this VIP has "
        "port 80: write the server's port");
  Service twice = web();
  twice.backends[1].name = "b1";
  CHECK(complaint(twice) == "invalid: web/b1: there are two backends of this name; rename one");
  twice = web();
  twice.backends[1].endpoint = twice.backends[0].endpoint;
  CHECK(complaint(twice) == "invalid: web/b2: 198.51.100.11:8080 is there twice in this service; remove one");
  CHECK(pool.services().empty());
}

TEST_CASE("addresses that no single host has are refused, for VIPs and backends") {
  Pool pool({});
  const std::pair<std::string, std::string> wrong[] = {
      {"224.0.0.1:80", "multicast"},       {"239.255.255.255:80", "multicast"}, {"0.0.0.0:80", "unspecified"},
      {"0.1.2.3:80", "unspecified"},       {"127.0.0.1:80", "loopback"},        {"127.255.0.1:80", "loopback"},
      {"255.255.255.255:80", "broadcast"}, {"[::]:80", "unspecified"},          {"[::1]:80", "loopback"},
      {"[ff02::1]:80", "multicast"}};
  for (const auto& [text, kind] : wrong) {
    CAPTURE(text);
    CHECK_THAT(refusal(pool, AddService{service("web", text)}), Catch::Contains(fmt::format("is a {} address", kind)));
    const bool is_v6 = text.starts_with('[');
    const std::string vip = is_v6 ? "[2001:db8::10]:80" : "203.0.113.10:80";
    CHECK_THAT(refusal(pool, AddService{service("web", vip, {backend("b1", text)})}),
               Catch::Contains(fmt::format("is a {} address", kind)));
  }
  for (const char* text : {"223.255.255.255:80", "240.0.0.1:80", "1.0.0.1:80", "126.0.0.1:80", "128.0.0.1:80",
                           "[::2]:80", "[fe80::1]:80", "[2001:db8::1]:80"}) {
    CAPTURE(text);
    CHECK(Pool({}).plan(AddService{service("web", text)}, false).has_value());
  }
}

TEST_CASE("rows are a power of two from 2^8 to 2^20") {
  Pool pool = pool_with({web()});
  for (const u32 rows : {0U, 1U, 128U, 255U, 257U, 65537U, 1U << 21, 0xffffffffU}) {
    CAPTURE(rows);
    CHECK_THAT(refusal(pool, SetService{"web", {}, rows, {}}),
               Catch::Contains("is not a power of two from 256 to 1048576"));
  }
  for (const u32 rows : {256U, 1U << 20}) CHECK(pool.plan(SetService{"web", {}, rows, {}}, false).has_value());
}

TEST_CASE("an MSS is 536 to 65495, or 0 for none") {
  Pool pool = pool_with({web()});
  for (const u32 mss : {1U, 535U, 65496U, 0xffffffffU})
    CHECK(
        refusal(pool, SetService{"web", {}, {}, mss}) ==
        fmt::format("invalid: web: mss {} is outside 536..65495; 0 leaves it as clients and servers announce it", mss));
  CHECK(change(pool, SetService{"web", {}, {}, 536}) == Lines{"web mss 0 -> 536"});
  CHECK(change(pool, SetService{"web", {}, {}, 65495}) == Lines{"web mss 536 -> 65495"});
  CHECK(change(pool, SetService{"web", {}, {}, 0}) == Lines{"web mss 65495 -> 0"});
}

const Tunnel both_families{*parse_prefix("198.18.0.0/16"), *parse_prefix("2001:db8:e::/64"), 6080};

TEST_CASE("tunnel modes carry either family to backends of either family, the other two do not") {
  for (const Mode mode : {Mode::nat, Mode::l2dsr, Mode::ipip, Mode::gue})
    for (const char* vip : {"203.0.113.10:80", "[2001:db8:f::10]:80"})
      for (const char* server : {"198.51.100.1:80", "[2001:db8:b::1]:80"}) {
        CAPTURE(to_text(mode), vip, server);
        const bool same = (vip[0] == '[') == (server[0] == '[');
        CHECK(Pool({}, both_families)
                  .plan(AddService{service("web", vip, {backend("b1", server)}, mode)}, false)
                  .has_value() == (same || is_tunnel(mode)));
      }
}

TEST_CASE("only nat rewrites ports") {
  for (const Mode mode : {Mode::nat, Mode::l2dsr, Mode::ipip, Mode::gue}) {
    Pool pool({}, both_families);
    const std::string said =
        refusal(pool, AddService{service("web", "203.0.113.10:80", {backend("b1", "198.51.100.1:8080")}, mode)});
    CAPTURE(said);
    CHECK((said == "web added") == (mode == Mode::nat));
    if (mode != Mode::nat)
      CHECK(said == fmt::format("invalid: web/b1: port 8080 differs from the VIP's port 80; {} does not rewrite ports, "
                                "so both must be equal",
                                to_text(mode)));
  }
}

TEST_CASE("a backend in a tunnel mode needs the outer source prefix of its own family") {
  const Tunnel only4{both_families.source4, {}, 6080};
  const Tunnel only6{{}, both_families.source6, 6080};
  for (const Mode mode : {Mode::ipip, Mode::gue})
    for (const char* vip : {"203.0.113.10:80", "[2001:db8:f::10]:80"}) {
      const Backend v4 = backend("b4", "198.51.100.1:80");
      const Backend v6 = backend("b6", "[2001:db8:b::1]:80");
      const auto said = [&](const Tunnel& tunnel, const Backend& b) {
        Pool pool({}, tunnel);
        return refusal(pool, AddService{service("web", vip, {b}, mode)});
      };
      CHECK(said(only4, v4) == "web added");
      CHECK(said(only6, v6) == "web added");
      CHECK(said(only6, v4) ==
            fmt::format("invalid: web/b4: mode {} to the IPv4 backend 198.51.100.1 needs tunnel.source4, the prefix of "
                        "its outer source addresses; write for example source4 = \"198.18.0.0/16\" under [tunnel] in "
                        "the configuration file and restart lbd",
                        to_text(mode)));
      CHECK_THAT(said(only4, v6), Catch::StartsWith("invalid: web/b6: ") && Catch::Contains("needs tunnel.source6"));
      // A service without backends needs none yet; the backend that is added later does.
      Pool pool = pool_with({service("web", vip, {}, mode)});
      CHECK_THAT(refusal(pool, AddBackend{"web", v4}),
                 Catch::StartsWith("invalid: web/b4: ") && Catch::Contains("needs tunnel.source4"));
    }
}

TEST_CASE("a VIP may have services for single ports beside one for every port, and one of those only") {
  Pool pool = pool_with({service("all", "203.0.113.10:0", {backend("a", "198.51.100.1:0")}),
                         service("web", "203.0.113.10:80", {backend("w", "198.51.100.2:8080")})});
  CHECK(change(pool, AddService{service("udp", "udp:203.0.113.10:0", {backend("a", "198.51.100.1:0")})}).size() == 2);
  CHECK_THAT(refusal(pool, AddService{service("more", "203.0.113.10:0")}),
             Catch::StartsWith("conflict: more: 203.0.113.10:0/tcp is already the VIP of service \"all\""));
}

TEST_CASE("a nat backend that takes every port shares its address with no other nat service") {
  const Service all = service("all", "203.0.113.10:0", {backend("a", "198.51.100.1:0")});
  const Service one = service("one", "203.0.113.11:80", {backend("o", "198.51.100.1:80")});
  const auto why = [](const char* mine, const char* other) {
    return fmt::format(
        "conflict: {}: 198.51.100.1/tcp is the address of backend {} as well; a nat backend with port 0 "
        "(every port) has its address and protocol for itself, because answers could not be told apart; "
        "use another address for one of them, or another mode",
        mine, other);
  };
  Pool first = pool_with({all});
  CHECK(refusal(first, AddService{one}) == why("one/o", "all/a"));
  Pool second = pool_with({one});
  CHECK(refusal(second, AddService{all}) == why("all/a", "one/o"));
  Pool at_once({});
  CHECK(refusal(at_once, Replace{{all, one}}) == why("one/o", "all/a"));
  CHECK(refusal(at_once, Replace{{one, all}}) == why("all/a", "one/o"));

  Service dsr = one;
  dsr.mode = Mode::l2dsr;
  CHECK(change(first, AddService{dsr}).size() == 2);
  Service udp = one;
  udp.name = "udp";
  udp.protocol = weir::Protocol::udp;
  CHECK(change(first, AddService{udp}).size() == 2);
  CHECK(change(first, AddBackend{"all", backend("b", "198.51.100.2:0")}).size() == 1);
}

TEST_CASE("an address that takes every port is free again once its backend is gone") {
  const Service all = service("all", "203.0.113.10:0", {backend("a", "198.51.100.1:0")});
  const Service one =
      service("one", "203.0.113.11:80", {backend("o", "198.51.100.1:80"), backend("p", "198.51.100.1:81")});
  Pool pool = pool_with({all});
  change(pool, DeleteService{"all"}, true);
  CHECK(change(pool, AddService{one}).size() == 3);
  change(pool, DeleteBackend{"one", "o"});
  CHECK_THAT(refusal(pool, AddService{all}), Catch::Contains("address of backend one/p"));
  change(pool, DeleteBackend{"one", "p"}, true);
  CHECK(change(pool, AddService{all}).size() == 2);
  CHECK(change(pool, Replace{{one}}, true).size() == 4);
}

TEST_CASE("a limit is named by its key, and what is deleted makes room") {
  const Service one = service("one", "203.0.113.1:80", {backend("b1", "198.51.100.1:80")});
  const Service two = service("two", "203.0.113.2:80", {backend("b1", "198.51.100.2:80")});
  Pool services = pool_with({one}, {1, 10, 1U << 20});
  CHECK(refusal(services, AddService{two}) ==
        "conflict: 2 services are more than limits.services = 1; raise it in the configuration file and restart lbd");
  Pool backends = pool_with({one}, {10, 1, 1U << 20});
  CHECK_THAT(refusal(backends, AddBackend{"one", backend("b2", "198.51.100.3:80")}),
             Catch::Contains("2 backends are more than limits.backends = 1"));
  Pool rows = pool_with({one}, {10, 10, 65536 + 256});
  CHECK_THAT(refusal(rows, AddService{two}), Catch::Contains("131072 rows are more than limits.rows = 65792"));
  Service small = two;
  small.rows = 256;
  CHECK(change(rows, AddService{small}).size() == 2);
  change(rows, DeleteService{"one"}, true);
  CHECK(change(rows, AddService{one}).size() == 2);
  CHECK(services.plan(Replace{{two}}, true).has_value());
}

TEST_CASE("the last usable backend of a service is not taken without force") {
  Service lone = web();
  lone.backends[1].admin = Admin::draining;  // b1 alone takes traffic
  const std::vector<Mutation> harmful{DeleteBackend{"web", "b1"},
                                      SetBackend{"web", "b1", 0, {}},
                                      SetBackend{"web", "b1", {}, Admin::draining},
                                      SetBackend{"web", "b1", {}, Admin::maint},
                                      DeleteService{"web"},
                                      Replace{{}},
                                      Replace{{service("web", "203.0.113.10:80")}},
                                      Replace{{service("x", "203.0.113.1:80")}}};
  for (const Mutation& mutation : harmful) {
    Pool pool = pool_with({lone});
    CHECK_THAT(refusal(pool, mutation), Catch::StartsWith("refused: ") && Catch::EndsWith("--force does it"));
    CHECK(pool.plan(mutation, true).has_value());
  }
  Pool pool = pool_with({lone});
  CHECK(refusal(pool, SetBackend{"web", "b1", 0, {}}) ==
        "refused: this would take the last usable backend from service \"web\" (web/b1 weight 100 -> 0); --force does "
        "it");
  CHECK(refusal(pool, DeleteService{"web"}) ==
        "refused: service \"web\" still has backends that take traffic; drain or delete them first; --force does it");
  CHECK(refusal(pool, Replace{{}}) == "refused: this would delete every service (1 now); --force does it");
}

TEST_CASE("what takes no traffic away needs no force") {
  Pool pool = pool_with({web()});
  CHECK(change(pool, SetBackend{"web", "b2", {}, Admin::draining}) == Lines{"web/b2 active -> draining"});
  CHECK(change(pool, DeleteBackend{"web", "b2"}) == Lines{"web/b2 removed"});
  CHECK(change(pool, SetBackend{"web", "b1", 1, {}}) == Lines{"web/b1 weight 100 -> 1"});
  change(pool, SetBackend{"web", "b1", 0, {}}, true);
  CHECK(change(pool, SetBackend{"web", "b1", {}, Admin::maint}) == Lines{"web/b1 active -> maint"});
  CHECK(change(pool, DeleteService{"web"}) == Lines{"web removed", "web/b1 removed"});
  CHECK(change(pool, Replace{{}}) == Lines{});
}

TEST_CASE("a change of one service leaves the objects of all others alone") {
  std::vector<Service> services;
  for (u32 i = 0; i < 1000; ++i) {
    std::vector<Backend> backends;
    for (u32 j = 0; j < 10; ++j)
      backends.push_back({fmt::format("b{}", j),
                          {weir::ip_from_v4(weir::to_be(0x0a000000 + i)), static_cast<weir::u16>(80 + j)},
                          100,
                          Admin::active});
    Service one = service(fmt::format("s{}", i), "203.0.113.10:80", backends);
    one.vip.port = static_cast<weir::u16>(1 + i);
    one.rows = 256;
    services.push_back(one);
  }
  Pool pool = pool_with(services);
  const Pool::Services before = pool.services();
  CHECK(change(pool, AddBackend{"s500", backend("", "198.51.100.1:80")}).size() == 1);
  for (const auto& [name, pointer] : pool.services()) CHECK((pointer == before.at(name)) == (name != "s500"));
  const auto plan = pool.plan(SetBackend{"s7", "b1", 1, {}}, false);
  REQUIRE(plan->steps.size() == 1);
  CHECK(plan->steps[0].before == before.at("s7"));
}

}  // namespace

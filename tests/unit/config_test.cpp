// SPDX-License-Identifier: Apache-2.0
// Long because every key has its refusal, with a place and a sentence.
#include "control/config/config.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "control/model/text.hpp"

namespace {

using weir::config::Configuration;
using weir::config::parse;
using weir::config::write;
using namespace weir::model;

const std::string example = R"(interfaces = ["l0", "l1"]
attach = "native"
seed = "00112233445566778899aabbccddeeff"
metrics-listen = "127.0.0.1:9464"

[limits]
services = 10
backends = 100
rows = 1048576

[[service]]
name = "web"
vip = "tcp:203.0.113.10:80"
mode = "nat"
hash = "source"
rows = 4096

  [[service.backend]]
  name = "b1"
  address = "198.51.100.11:8080"
  weight = 50
  admin = "draining"

  [[service.backend]]
  address = "198.51.100.12:8080"

[[service]]
name = "dns"
vip = "udp:[2001:db8::10]:53"
mode = "l2dsr"
)";

/// Every key that says how flows are kept.
const std::string keeping = R"(interfaces = ["l0"]
[limits]
flows = 4096
embryos = 512
[[service]]
name = "web"
vip = "tcp:203.0.113.10:80"
mode = "nat"
track = "all"
on-remove = "reset"
settle = "10m"
idle = "1h30m"
idle-closing = 10
  [[service.backend]]
  name = "b1"
  address = "198.51.100.11:8080"
  admin = "draining"
  drain = { started = 1764000000, deadline = "10m", then = "remove", force-after = true, watch = 7 }
)";

/// The message for `text`, which must be wrong; the file is called lb.toml.
std::string complaint(const std::string& text) {
  const auto result = parse(text, "lb.toml");
  if (result) return "accepted";
  CHECK(result.error().fault == weir::Fault::invalid);
  return result.error().message;
}

/// The example with its first `from` replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = example;
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

TEST_CASE("every key of a configuration file reaches its field") {
  const Configuration c = *parse(example, "lb.toml");
  CHECK(c.settings.interfaces == std::vector<std::string>{"l0", "l1"});
  CHECK(c.settings.attach == Attach::native);
  CHECK(c.settings.seed == *parse_seed("00112233445566778899aabbccddeeff"));
  CHECK(c.settings.metrics_listen == "127.0.0.1:9464");
  CHECK(c.settings.limits == Limits{10, 100, 1048576});
  const Backend b1{"b1", *parse_endpoint("198.51.100.11:8080"), 50, weir::Admin::draining};
  const Backend b2{"198.51.100.12-8080", *parse_endpoint("198.51.100.12:8080"), 100, weir::Admin::active};
  REQUIRE(c.services.size() == 2);
  CHECK(c.services[0] == Service{"web",
                                 *parse_endpoint("203.0.113.10:80"),
                                 weir::Protocol::tcp,
                                 weir::Mode::nat,
                                 weir::HashOn::source,
                                 4096,
                                 0,
                                 Track::changes,
                                 OnRemove::keep,
                                 900,
                                 3 * 3600,
                                 60,
                                 {b1, b2}});
  CHECK(c.services[1] == Service{"dns",
                                 *parse_endpoint("[2001:db8::10]:53"),
                                 weir::Protocol::udp,
                                 weir::Mode::l2dsr,
                                 weir::HashOn::five_tuple,
                                 65536,
                                 0,
                                 Track::changes,
                                 OnRemove::rehash,
                                 900,
                                 30,
                                 60,
                                 {}});
}

TEST_CASE("a file with nothing but interfaces is valid, the rest has defaults") {
  const Configuration c = *parse("interfaces = [\"eth0\"]", "lb.toml");
  CHECK(c.settings == Settings{{"eth0"}, Attach::automatic, {}, Limits{}, {}, 1000, ""});
  CHECK(c.services.empty());
}

TEST_CASE("a wrong value is reported with its place, the value and what to write") {
  CHECK(complaint(with("weight = 50", "weight = -1")) == "lb.toml:21:12: weight -1 is outside 0..65535");
  CHECK(complaint(with("weight = 50", "weight = 65536")) == "lb.toml:21:12: weight 65536 is outside 0..65535");
  CHECK(complaint(with("weight = 50", "weight = 4294967346")) ==
        "lb.toml:21:12: weight 4294967346 is outside 0..65535");
  CHECK(complaint(with("weight = 50", "weight = 1.5")) ==
        "lb.toml:21:12: weight is a floating-point number (1.5); write an integer from 0 to 65535");
  CHECK(complaint(with("weight = 50", "weight = \"50\"")) ==
        "lb.toml:21:12: weight is a string (\"50\"); write an integer from 0 to 65535");
  CHECK(complaint(with("rows = 4096", "rows = true")) ==
        "lb.toml:16:8: rows is a boolean (true); write an integer from 256 to 1048576");
  CHECK(complaint(with("rows = 4096", "rows = 4097")) ==
        "lb.toml:16:8: web: rows 4097 is not a power of two from 256 to 1048576");
  CHECK(complaint(with("services = 10", "services = 0")) == "lb.toml:7:12: services 0 is outside 1..65536");
  CHECK(complaint(with("name = \"web\"", "name = 7")) ==
        "lb.toml:12:8: name is an integer (7); write a string in quotes");
  CHECK(complaint(with("\"native\"", "\"fast\"")) ==
        "lb.toml:2:10: attach: \"fast\" is not known; write automatic, native or generic");
  CHECK(complaint(with("8899aabb", "8899aab")) ==
        "lb.toml:3:8: seed: \"00112233445566778899aabccddeeff\" is not 32 hexadecimal digits; make them with: openssl "
        "rand -hex 16");
  CHECK(complaint(with("203.0.113.10:80", "203.0.113.10:65536")) ==
        "lb.toml:13:7: vip: \"203.0.113.10:65536\": port \"65536\" is not a number from 0 (every port) to 65535");
  CHECK(complaint(with("127.0.0.1:9464", "127.0.0.1:0")) ==
        "lb.toml:4:18: metrics-listen: \"127.0.0.1:0\" has port 0; write 1 to 65535");
  CHECK(complaint(with("\"draining\"", "\"drain\"")) ==
        "lb.toml:22:11: admin: admin state \"drain\" is not known; write active, draining or maint");
}

TEST_CASE("tunnel settings, the rate of ICMP and the MSS reach their fields") {
  const std::string text = R"(interfaces = ["l0"]
icmp-rate = 50

[tunnel]
source4 = "198.18.0.0/16"
source6 = "2001:db8:e::/64"
gue-port = 6081

[[service]]
name = "web"
vip = "tcp:203.0.113.10:0"
mode = "gue"
mss = 1400
backend = [{ address = "198.51.100.11:0" }, { address = "[2001:db8:b::11]:0" }]
)";
  const auto parsed = parse(text, "lb.toml");
  if (!parsed) FAIL(parsed.error().message);
  CHECK(parsed->settings.icmp_rate == 50);
  CHECK(parsed->settings.tunnel == Tunnel{*parse_prefix("198.18.0.0/16"), *parse_prefix("2001:db8:e::/64"), 6081});
  REQUIRE(parsed->services.size() == 1);
  CHECK(parsed->services[0].mode == weir::Mode::gue);
  CHECK(parsed->services[0].mss == 1400);
  CHECK(parsed->services[0].vip.port == 0);
  CHECK(parsed->services[0].backends[1].endpoint == *parse_endpoint("[2001:db8:b::11]:0"));
  CHECK(write(*parse(write(*parsed), "export")) == write(*parsed));

  const auto complaint_with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    REQUIRE(changed.find(from) != std::string::npos);
    return complaint(changed.replace(changed.find(from), from.size(), to));
  };
  CHECK(complaint_with("icmp-rate = 50", "icmp-rate = -1") == "lb.toml:2:13: icmp-rate -1 is outside 0..1000000");
  CHECK(complaint_with("gue-port = 6081", "gue-port = 0") == "lb.toml:7:12: gue-port 0 is outside 1..65535");
  CHECK(complaint_with("gue-port", "udp") ==
        "lb.toml:7:1: unknown key \"udp\"; the keys here are source4, source6, gue-port");
  CHECK(complaint_with("198.18.0.0/16", "198.18.0.1/16") ==
        "lb.toml:5:11: source4: \"198.18.0.1/16\" has bits beyond its length; write 198.18.0.0/16");
  CHECK(complaint_with("198.18.0.0/16", "2001:db8:e::/64") ==
        "lb.toml:5:11: source4: 2001:db8:e::/64 is not an IPv4 prefix; write for example 198.18.0.0/16");
  CHECK(complaint_with("2001:db8:e::/64", "198.18.0.0/16") ==
        "lb.toml:6:11: source6: 198.18.0.0/16 is not an IPv6 prefix; write for example 2001:db8:e::/64");
  CHECK(complaint_with("198.18.0.0/16", "198.0.0.0/7") ==
        "lb.toml:5:11: source4: 198.0.0.0/7 is shorter than /8; outer sources need a prefix of /8 to /32");
  CHECK(complaint_with("2001:db8:e::/64", "2001::/31") ==
        "lb.toml:6:11: source6: 2001::/31 is shorter than /32; outer sources need a prefix of /32 to /128");
  for (const char* martian : {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/8", "240.0.0.0/16", "255.255.255.255/32"})
    CHECK_THAT(complaint_with("198.18.0.0/16", martian),
               Catch::StartsWith("lb.toml:5:11: source4: ") && Catch::Contains("from which no host takes packets"));
  for (const char* martian : {"::/64", "::1/128", "ff02::/32"})
    CHECK_THAT(complaint_with("2001:db8:e::/64", martian),
               Catch::StartsWith("lb.toml:6:11: source6: ") && Catch::Contains("from which no host takes packets"));
  CHECK(complaint_with("source4 = \"198.18.0.0/16\"\n", "") ==
        "lb.toml:13:24: web/198.51.100.11-0: mode gue to the IPv4 backend 198.51.100.11 needs tunnel.source4, the "
        "prefix of its outer source addresses; write for example source4 = \"198.18.0.0/16\" under [tunnel] in the "
        "configuration file and restart lbd");
  CHECK_THAT(complaint_with("source6 = \"2001:db8:e::/64\"\n", ""),
             Catch::StartsWith("lb.toml:13:57: web/2001-db8-b--11-0: mode gue to the IPv6 backend 2001:db8:b::11 needs "
                               "tunnel.source6"));
  CHECK(complaint_with("mss = 1400", "mss = 535") ==
        "lb.toml:13:7: web: mss 535 is outside 536..65495; 0 leaves it as clients and servers announce it");
  CHECK(complaint_with("mss = 1400", "mss = 65496") == "lb.toml:13:7: mss 65496 is outside 0..65495");
  CHECK(complaint_with("mss = 1400", "mss = 0") == "accepted");
}

TEST_CASE("how flows are kept and how a backend is drained reach their fields, and come back from export") {
  const auto parsed = parse(keeping, "lb.toml");
  if (!parsed) FAIL(parsed.error().message);
  CHECK(parsed->settings.limits.flows == 4096);
  CHECK(parsed->settings.limits.embryos == 512);
  const Service& web = parsed->services.at(0);
  CHECK(web.track == Track::all);
  CHECK(web.on_remove == OnRemove::reset);
  CHECK(web.settle == 600);
  CHECK(web.idle == 5400);
  CHECK(web.idle_closing == 10);
  CHECK(web.backends.at(0).drain == Drain{1764000000, 600, true, true, 7});
  CHECK(*parse(write(*parsed), "export") == *parsed);
  CHECK_THAT(write(*parsed), Catch::Contains("settle = \"10m\"\nidle = \"1h30m\"\nidle-closing = \"10s\"\n"));
}

TEST_CASE("a duration, a choice or a drain that cannot be is reported at its key") {
  const auto complaint_with = [&](const std::string& from, const std::string& to) {
    std::string changed = keeping;
    REQUIRE(changed.find(from) != std::string::npos);
    return complaint(changed.replace(changed.find(from), from.size(), to));
  };
  CHECK(complaint_with("\"10m\"", "\"10 m\"") ==
        "lb.toml:11:10: settle: \"10 m\" is not a duration; write for example 90s, 15m or 1h30m");
  CHECK(complaint_with("\"10m\"", "1.5") ==
        "lb.toml:11:10: settle is a floating-point number (1.5); write a duration, for example \"90s\", \"15m\" or "
        "\"1h30m\", or seconds as an integer");
  CHECK(complaint_with("\"10m\"", "0") == "lb.toml:11:10: web: settle 0s is outside 1s..168h");
  CHECK(complaint_with("\"1h30m\"", "\"169h\"") == "lb.toml:12:8: web: idle 169h is outside 1s..168h");
  CHECK(complaint_with("idle-closing = 10", "idle-closing = -1") ==
        "lb.toml:13:16: idle-closing -1 is outside 0..4294967295");
  CHECK(complaint_with("\"all\"", "\"every\"") ==
        "lb.toml:9:9: track: track \"every\" is not known; write changes or all");
  CHECK(complaint_with("\"reset\"", "\"drop\"") ==
        "lb.toml:10:13: on-remove: on-remove \"drop\" is not known; write keep, rehash or reset");
  CHECK(complaint_with("\"remove\"", "\"delete\"") ==
        "lb.toml:18:60: then: \"delete\" is not known; write remove, or leave it out");
  CHECK(complaint_with("force-after = true", "force-after = 1") ==
        "lb.toml:18:84: force-after is an integer (1); write true or false");
  CHECK(complaint_with("deadline = \"10m\", ", "") ==
        "lb.toml:18:11: web/b1: force-after ends flows at the deadline, and the drain has none; give a deadline");
  CHECK(complaint_with("admin = \"draining\"", "admin = \"active\"") ==
        "lb.toml:18:11: web/b1: terms of a drain go with admin draining, and the backend is active");
  CHECK(complaint_with("flows = 4096", "flows = 1023") == "lb.toml:3:9: flows 1023 is outside 1024..16777216");
}

TEST_CASE("an integer too large for TOML is a syntax error with its place") {
  CHECK_THAT(complaint(with("weight = 50", "weight = 99999999999999999999")), Catch::StartsWith("lb.toml:21:"));
}

TEST_CASE("an unknown key is an error that suggests the nearest known one") {
  CHECK(complaint(with("weight = 50", "wieght = 50")) ==
        "lb.toml:21:3: unknown key \"wieght\"; did you mean \"weight\"?");
  CHECK(complaint(with("metrics-listen", "metrics_listen")) ==
        "lb.toml:4:1: unknown key \"metrics_listen\"; did you mean \"metrics-listen\"?");
  CHECK(complaint(with("[limits]", "[limit]")) == "lb.toml:6:2: unknown key \"limit\"; did you mean \"limits\"?");
  CHECK(complaint(with("rows = 1048576", "row = 1")) == "lb.toml:9:1: unknown key \"row\"; did you mean \"rows\"?");
  CHECK(complaint(with("hash = ", "check = ")) ==
        "lb.toml:15:1: unknown key \"check\"; the keys here are name, vip, mode, hash, rows, mss, track, on-remove, "
        "settle, idle, idle-closing, backend");
  CHECK_THAT(complaint(with("[[service.backend]]", "[[service.backends]]")),
             Catch::Contains("unknown key \"backends\"; did you mean \"backend\"?"));
}

TEST_CASE("a required key that is missing is reported at its table") {
  CHECK(complaint("") == "lb.toml:1:1: the file has no \"interfaces\"; add it");
  CHECK(complaint(with("vip = \"tcp:203.0.113.10:80\"\n", "")) == "lb.toml:11:1: service has no \"vip\"; add it");
  CHECK(complaint(with("mode = \"nat\"\n", "")) == "lb.toml:11:1: service has no \"mode\"; add it");
  CHECK(complaint(with("name = \"web\"\n", "")) == "lb.toml:11:1: service has no \"name\"; add it");
  CHECK(complaint(with("  address = \"198.51.100.12:8080\"\n", "")) ==
        "lb.toml:24:3: backend has no \"address\"; add it");
}

TEST_CASE("tables and lists of the wrong kind are refused") {
  CHECK(complaint("interfaces = \"eth0\"") ==
        "lb.toml:1:14: interfaces is not a list of names; write for example [\"eth0\"]");
  CHECK(complaint("interfaces = []") ==
        "lb.toml:1:14: interfaces is not a list of names; write for example [\"eth0\"]");
  for (const char* wrong : {"7", "\"\"", "\"a/b\"", "\"a b\"", "\"sixteen-letters-\"", "\"a\\u0000\""})
    CHECK_THAT(complaint(fmt::format("interfaces = [\"eth0\", {}]", wrong)),
               Catch::StartsWith("lb.toml:1:23: this is not the name of an interface"));
  CHECK(complaint("interfaces = [\"a\", \"a\"]") == "lb.toml:1:20: interface \"a\" is there twice; remove one");
  CHECK(complaint("interfaces = [\"a\"]\nlimits = 5") ==
        "lb.toml:2:10: limits is an integer (5); write a table [limits]");
  CHECK(complaint("interfaces = [\"a\"]\n[service]\nname = \"web\"") ==
        "lb.toml:2:1: service is a table; write each one under a heading [[service]]");
  CHECK(complaint("interfaces = [\"a\"]\nservice = [1]") ==
        "lb.toml:2:11: service is an array; write each one under a heading [[service]]");
}

TEST_CASE("a broken rule of the model is reported at the key that breaks it") {
  CHECK_THAT(complaint(with("\"udp:[2001:db8::10]:53\"", "\"203.0.113.10:80\"")),
             Catch::StartsWith("lb.toml:29:7: dns: 203.0.113.10:80/tcp is already the VIP of service \"web\""));
  CHECK(complaint(with("\"dns\"", "\"web\"")) == "lb.toml:28:8: there are two services \"web\"; rename one");
  CHECK(complaint(with("198.51.100.12:8080", "198.51.100.11:8080")) ==
        "lb.toml:25:13: web/198.51.100.11-8080: 198.51.100.11:8080 is there twice in this service; remove one");
  CHECK(complaint(with("\"b1\"", "\"B1\"")) ==
        "lb.toml:19:10: web/B1: the name \"B1\" begins with something else than a-z or 0-9");
  CHECK_THAT(complaint(with("198.51.100.11:8080", "224.0.0.1:8080")),
             Catch::StartsWith("lb.toml:20:13: web/b1: 224.0.0.1 is a multicast address"));
  CHECK_THAT(complaint(with("\"nat\"", "\"l2dsr\"")), Catch::StartsWith("lb.toml:20:13: web/b1: port 8080 differs"));
  CHECK(complaint(with("services = 10", "services = 1")) ==
        "lb.toml:27:1: 2 services are more than limits.services = 1; raise it in the configuration file and restart "
        "lbd");
  CHECK_THAT(complaint(with("backends = 100", "backends = 1")), Catch::StartsWith("lb.toml:11:1: 2 backends are more"));
}

TEST_CASE("two nat services with one backend are reported at the second") {
  const std::string text = example + R"(
[[service]]
name = "shop"
vip = "203.0.113.11:80"
mode = "nat"
backend = [{ address = "198.51.100.11:8080" }]
)";
  CHECK_THAT(complaint(text), Catch::StartsWith("lb.toml:36:24: shop/198.51.100.11-8080: 198.51.100.11:8080/tcp is "
                                                "already backend web/b1; two nat services cannot share"));
}

TEST_CASE("70,000 backends are one message, not a crash") {
  std::string text = "interfaces = [\"a\"]\n[[service]]\nname = \"web\"\nvip = \"10.255.255.255:80\"\nmode = \"nat\"\n";
  for (unsigned i = 0; i < 70'000; ++i)
    text += fmt::format("[[service.backend]]\naddress = \"10.{}.{}.{}:80\"\n", i >> 16, (i >> 8) & 255, i & 255);
  CHECK(complaint(text) ==
        "lb.toml:2:1: 70000 backends are more than limits.backends = 65536; raise it in the configuration file and "
        "restart lbd");
}

TEST_CASE("of several errors the first in the text is reported") {
  CHECK_THAT(complaint("[[service]]\nname = \"web\"\nwieght = 1\nmode = \"x\"\n"), Catch::StartsWith("lb.toml:1:1: "));
  CHECK_THAT(complaint("interfaces = [\"a\"]\nattach = 1\nbla = 2\nseed = 3\n"), Catch::StartsWith("lb.toml:2:10: "));
}

TEST_CASE("a file cut anywhere is valid or an error with a place, never a crash") {
  unsigned refused = 0;
  for (std::size_t length = 0; length < example.size(); ++length) {
    const auto result = parse(example.substr(0, length), "lb.toml");
    if (result) continue;
    ++refused;
    CHECK_THAT(result.error().message, Catch::StartsWith("lb.toml:"));
    CHECK(result.error().message.size() > 20);
  }
  CHECK(refused > example.size() / 2);
  CHECK_THAT(complaint(example.substr(0, example.find("113.10:80"))), Catch::StartsWith("lb.toml:13:"));
}

TEST_CASE("bytes that are not UTF-8 text are an error") {
  CHECK_THAT(complaint("interfaces = [\"\xff\"]"), Catch::StartsWith("lb.toml:1:"));
  CHECK_THAT(complaint(std::string(1000, '\0')), Catch::StartsWith("lb.toml:1:"));
}

/// A valid configuration with every kind of value in it.
Configuration random_configuration(std::mt19937& random) {
  const auto below = [&](unsigned bound) { return static_cast<unsigned>(random()) % bound; };
  Configuration c;
  for (unsigned i = 0; i <= below(3); ++i) c.settings.interfaces.push_back(fmt::format("e\"\\{}\x7f", i));
  c.settings.attach = static_cast<Attach>(below(3));
  if (below(2) != 0) c.settings.seed = Seed{static_cast<weir::u8>(below(256)), 0, 255};
  if (below(2) != 0) c.settings.metrics_listen = "[::]:9464";
  if (below(2) != 0) c.settings.icmp_rate = below(1'000'001);
  c.settings.tunnel.source4 = Prefix{*parse_ip("198.18.0.0"), 15 + below(18)};
  c.settings.tunnel.source6 = Prefix{*parse_ip("2001:db8::"), 32 + below(97)};
  if (below(2) != 0) c.settings.tunnel.gue_port = static_cast<weir::u16>(1 + below(65535));
  c.settings.limits = {100 + below(100), 1000 + below(100), (1U << 26) - below(100)};
  for (unsigned i = 0; i < below(6); ++i) {
    const bool is_v6 = below(2) != 0;
    const auto address = [&](unsigned number) {
      return is_v6 ? weir::Ip{{weir::to_be(0x20010db8U).raw, 0, 0, weir::to_be(number).raw}}
                   : weir::ip_from_v4(weir::to_be(0x0a000000U + number));
    };
    Service service{fmt::format("s{}", i),
                    {address(1), static_cast<weir::u16>(1 + i)},
                    weir::Protocol::tcp,
                    static_cast<weir::Mode>(1 + below(4)),
                    static_cast<weir::HashOn>(1 + below(2)),
                    256U << below(13),
                    below(2) * (536 + below(64960)),
                    {}};
    if (i == 0 && below(2) != 0) service.vip.port = 0;
    if (below(2) != 0) service.protocol = weir::Protocol::udp;
    for (unsigned j = 0; j < below(9); ++j)
      service.backends.push_back({fmt::format("b{}", j),
                                  {address(256 * i + j + 2), service.vip.port},
                                  below(65536),
                                  static_cast<weir::Admin>(1 + below(3))});
    c.services.push_back(service);
  }
  return c;
}

TEST_CASE("what is written parses to an equal value, and is written again with the same bytes") {
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    const Configuration configuration = random_configuration(random);
    const std::string text = write(configuration);
    const auto again = parse(text, "export");
    if (!again) FAIL(again.error().message << "\n" << text);
    CHECK(*again == configuration);
    CHECK(write(*again) == text);
  }
  CHECK(write(*parse(write(*parse(example, "lb.toml")), "export")) == write(*parse(example, "lb.toml")));
}

TEST_CASE("an exported file looks like one that a person would write") {
  const std::string text = write(*parse(with("attach = \"native\"\n", ""), "lb.toml"));
  CHECK_THAT(text, Catch::StartsWith("interfaces = [\"l0\", \"l1\"]\nattach = \"automatic\"\n"));
  CHECK_THAT(text, Catch::Contains("\n[[service]]\nname = \"web\"\nvip = \"tcp:203.0.113.10:80\"\nmode = \"nat\"\n"));
  CHECK_THAT(text, Catch::Contains("\n  [[service.backend]]\n  name = \"b1\"\n  address = \"198.51.100.11:8080\"\n"));
}

}  // namespace

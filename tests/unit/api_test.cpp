// SPDX-License-Identifier: Apache-2.0
// HTTP bytes in, HTTP bytes out, over a real socket.
// Long because paths, bodies, bytes and life cycle share one fixture.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <fstream>

#include "control/model/text.hpp"
#include "tests/unit/api_fixture.hpp"

using namespace weir;
using namespace weir::api;
using namespace weir::api::test;
using Catch::Contains;
using Catch::EndsWith;

namespace {

const std::string get_status = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";

template <class T>
T asked(Bed& bed) {
  REQUIRE(bed.script.last);
  REQUIRE(std::holds_alternative<T>(bed.script.last->mutation));
  T out = std::get<T>(bed.script.last->mutation);
  bed.script.last.reset();
  return out;
}

void run_until(Bed& bed, const bool& flag) {
  for (int i = 0; i < 3000 && !flag; ++i) bed.loop.restart(), bed.loop.run_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("every documented GET answers 200 with its document", "[api]") {
  Bed bed;
  for (const char* path : {"/v1/status", "/v1/version", "/v1/services", "/v1/services/web", "/v1/services/web/rows",
                           "/v1/export", "/metrics"})
    CHECK(status(bed.ask("GET", path)) == 200);
  CHECK_THAT(bed.ask("GET", "/v1/status"), EndsWith("\r\n\r\n{\"pid\":1}\n"));
  CHECK_THAT(bed.ask("GET", "/metrics"), Contains("Content-Type: text/plain; version=0.0.4"));
  CHECK_THAT(bed.ask("GET", "/v1/export"), EndsWith("interfaces = []\n"));
}

TEST_CASE("an unknown path is 404, whatever it resembles", "[api]") {
  Bed bed;
  for (const char* path : {"/", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/services/", "/v1/services/web/",
                           "/v1/services/web/backends", "/v1/services/web/backends/b1/x", "//v1/status", "/V1/status",
                           "/metrics/x", "/v1/%2573tatus"}) {
    const std::string response = bed.ask("GET", path);
    INFO(path);
    CHECK(status(response) == 404);
    CHECK_THAT(message(response), Contains("no such path"));
  }
}

TEST_CASE("a wrong method is 405 and names the right ones", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("DELETE", "/v1/status")) == 405);
  CHECK_THAT(bed.ask("DELETE", "/v1/status"), Contains("Allow: GET, HEAD\r\n"));
  CHECK_THAT(bed.ask("POST", "/v1/services/web"), Contains("Allow: GET, HEAD, PUT, PATCH, DELETE\r\n"));
  CHECK_THAT(bed.ask("GET", "/v1/detach"), Contains("Allow: POST\r\n"));
  CHECK(status(bed.ask("BREW", "/v1/status")) == 405);
  CHECK(bed.script.detached == 0);
}

TEST_CASE("HEAD answers the header of GET without a body, and the connection stays usable", "[api]") {
  Bed bed;
  Client client = bed.client();
  client.send("HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(client.receive(false), Contains("Content-Length: 10\r\n"));
  CHECK(status(client.ask(get_status)) == 200);
}

TEST_CASE("request bodies become mutations", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("PUT", "/v1/services/web",
                       R"({"vip":"udp:[2001:db8::1]:53","mode":"l2dsr","hash":"source","rows":1024})")) == 200);
  const auto add = asked<model::AddService>(bed).service;
  CHECK(add.name == "web");
  CHECK(add.protocol == Protocol::udp);
  CHECK(add.vip.port == 53);
  CHECK(add.mode == Mode::l2dsr);
  CHECK(add.hash == HashOn::source);
  CHECK(add.rows == 1024);

  CHECK(add.mss == 0);

  CHECK(status(bed.ask("PATCH", "/v1/services/web", R"({"rows":256})")) == 200);
  const auto set = asked<model::SetService>(bed);
  CHECK(set.rows == 256U);
  CHECK_FALSE(set.hash);
  CHECK_FALSE(set.mss);

  CHECK(status(bed.ask("PUT", "/v1/services/web", R"({"vip":"tcp:192.0.2.1:0","mode":"gue","mss":1400})")) == 200);
  const auto tunnelled = asked<model::AddService>(bed).service;
  CHECK(tunnelled.mode == Mode::gue);
  CHECK(tunnelled.vip.port == 0);
  CHECK(tunnelled.mss == 1400);
  CHECK(status(bed.ask("PATCH", "/v1/services/web", R"({"mss":0})")) == 200);
  CHECK(asked<model::SetService>(bed).mss == 0U);

  CHECK(status(bed.ask("PUT", "/v1/services/web/backends/-", R"({"address":"198.51.100.11:8080"})")) == 200);
  const auto backend = asked<model::AddBackend>(bed).backend;
  CHECK(backend.name.empty());
  CHECK(backend.weight == model::default_weight);

  CHECK(status(bed.ask("PATCH", "/v1/services/web/backends/b1", R"({"weight":0,"admin":"draining"})")) == 200);
  const auto change = asked<model::SetBackend>(bed);
  CHECK(change.service == "web");
  CHECK(change.backend == "b1");
  CHECK(change.weight == 0U);
  CHECK(change.admin == Admin::draining);

  CHECK(status(bed.ask("DELETE", "/v1/services/web/backends/b1")) == 200);
  CHECK(asked<model::DeleteBackend>(bed).backend == "b1");
  CHECK(status(bed.ask("DELETE", "/v1/services/web")) == 200);
  CHECK(asked<model::DeleteService>(bed).service == "web");
}

TEST_CASE("a success says whether and what changed; a failure's status follows its fault", "[api]") {
  Bed bed;
  CHECK_THAT(bed.ask("DELETE", "/v1/services/web"),
             EndsWith("{\"changed\":true,\"effects\":[],\"lines\":[\"web/b1 weight 100 -> 50\"]}\n"));
  bed.script.outcome = model::Plan{};
  CHECK_THAT(bed.ask("DELETE", "/v1/services/web"), EndsWith("{\"changed\":false,\"effects\":[],\"lines\":[]}\n"));
  const std::pair<Fault, int> faults[] = {{Fault::invalid, 400},
                                          {Fault::not_found, 404},
                                          {Fault::conflict, 409},
                                          {Fault::refused, 412},
                                          {Fault::internal, 500}};
  for (const auto& [fault, expected] : faults) {
    bed.script.outcome = fail(fault, "no");
    CHECK(status(bed.ask("DELETE", "/v1/services/web")) == expected);
  }
  CHECK_THAT(bed.ask("DELETE", "/v1/services/web"),
             EndsWith("{\"error\":{\"fault\":\"internal\",\"message\":\"no\"}}\n"));
}

TEST_CASE("force and dry-run reach the operation, and nothing else passes for them", "[api]") {
  Bed bed;
  bed.ask("DELETE", "/v1/services/web?force=true&dry-run=true");
  REQUIRE(bed.script.last);
  CHECK(bed.script.last->force);
  CHECK(bed.script.last->dry_run);
  bed.ask("DELETE", "/v1/services/web?force=false");
  CHECK_FALSE(bed.script.last->force);
  CHECK_FALSE(bed.script.last->dry_run);

  const int before = bed.script.mutations;
  for (const char* wrong : {"force=1", "force", "force=", "dry-run=yes", "dryrun=true", "dry_run=true",
                            "dry-run=true&dry-run=false", "force=true&x=1"}) {
    INFO(wrong);
    CHECK(status(bed.ask("DELETE", std::string("/v1/services/web?") + wrong)) == 400);
  }
  CHECK(bed.script.mutations == before);
  CHECK(status(bed.ask("POST", "/v1/detach?dry-run=true")) == 200);
  CHECK(bed.script.detached == 0);
}

TEST_CASE("a wrong body is 400 with a sentence that names the field or the position", "[api]") {
  Bed bed;
  const auto refused = [&](const std::string& body) {
    const std::string response = bed.ask("PATCH", "/v1/services/web/backends/b1", body);
    CHECK(status(response) == 400);
    return message(response);
  };
  CHECK(refused(R"({"weight":-1})") == "weight -1 is outside 0..65535");
  CHECK(refused(R"({"weight":70000})") == "weight 70000 is outside 0..65535");
  CHECK(refused(R"({"weight":1.5})") == "weight 1.5 is not a whole number in 0..65535");
  CHECK(refused(R"({"weight":"abc"})") == "weight \"abc\" is not a whole number in 0..65535");
  CHECK(refused(R"({"weight":null})") == "weight null is not a whole number in 0..65535");
  CHECK(refused(R"({"weight":[1]})") == "weight an array is not a whole number in 0..65535");
  CHECK(refused(R"({"weight":18446744073709551615})") == "weight 18446744073709551615 is outside 0..65535");
  CHECK(refused(R"({"admin":"gone"})") == "admin state \"gone\" is not known; write active, draining or maint");
  CHECK(refused(R"({"admin":7})") == "admin 7 is not a string");
  CHECK(refused(R"({"wieght":7})") == "unknown field \"wieght\"; known are weight, admin, drain");
  CHECK(refused(R"({"weight":1,"weight":2})") == "field \"weight\" is given twice");
  CHECK(refused("{}") == "the body names nothing to change; give at least one of weight, admin, drain");
  CHECK(refused("[]") == "the body is an array; send a JSON object with weight, admin, drain");
  CHECK_THAT(refused("{\"weight\":\n  ,}"), Contains("at line 2, column 3"));
  CHECK_THAT(refused(""), Contains("at line 1, column 1"));
  CHECK_THAT(refused(R"({"weight":1e999})"), Contains("1e999"));
  CHECK_THAT(refused("{\"weight\":\"\xff\xfe\"}"), Contains("the body is not JSON"));
  CHECK_THAT(refused(std::string(60000, '[')), Contains("the body is not JSON"));
  CHECK(bed.script.mutations == 0);

  CHECK(message(bed.ask("PUT", "/v1/services/web", R"({"mode":"nat"})")) == "field \"vip\" is missing");
  CHECK_THAT(message(bed.ask("PUT", "/v1/services/web", R"({"vip":"tcp:192.0.2.1:x","mode":"nat"})")),
             Contains("vip: ") && Contains("port"));
}

TEST_CASE("how flows are kept and how a backend is drained reach the mutation", "[api]") {
  Bed bed;
  const std::string tuning =
      R"("track":"all","on_remove":"reset","settle_seconds":60,"idle_seconds":45,"idle_closing_seconds":5)";
  CHECK(status(bed.ask("PUT", "/v1/services/web", R"({"vip":"tcp:192.0.2.1:80","mode":"nat",)" + tuning + "}")) == 200);
  const auto add = asked<model::AddService>(bed).service;
  CHECK(add.track == model::Track::all);
  CHECK(add.on_remove == model::OnRemove::reset);
  CHECK(add.settle == 60);
  CHECK(add.idle == 45);
  CHECK(add.idle_closing == 5);
  CHECK(status(bed.ask("PUT", "/v1/services/dns", R"({"vip":"udp:192.0.2.1:53","mode":"nat"})")) == 200);
  const auto dns = asked<model::AddService>(bed).service;
  CHECK(dns.on_remove == model::OnRemove::rehash);
  CHECK(dns.idle == 30);

  CHECK(status(bed.ask("PATCH", "/v1/services/web", "{" + tuning + "}")) == 200);
  const auto set = asked<model::SetService>(bed);
  CHECK(set.track == model::Track::all);
  CHECK(set.on_remove == model::OnRemove::reset);
  CHECK(set.settle == 60U);
  CHECK(set.idle == 45U);
  CHECK(set.idle_closing == 5U);
  CHECK(status(bed.ask("PATCH", "/v1/services/web", R"({"idle_seconds":9})")) == 200);
  CHECK_FALSE(asked<model::SetService>(bed).settle);

  const std::string b1 = "/v1/services/web/backends/b1";
  CHECK(status(bed.ask("PATCH", b1,
                       R"({"admin":"draining","drain":{"deadline_seconds":600,"then":"remove",)"
                       R"("force_after":true,"watch_seconds":7}})")) == 200);
  CHECK(asked<model::SetBackend>(bed).drain == model::Drain{0, 600, true, true, 7});
  CHECK(status(bed.ask("PATCH", b1, R"({"admin":"draining","drain":{}})")) == 200);
  CHECK(asked<model::SetBackend>(bed).drain == model::Drain{});
  CHECK(status(bed.ask("PATCH", b1, R"({"admin":"draining"})")) == 200);
  CHECK_FALSE(asked<model::SetBackend>(bed).drain);
  CHECK(status(bed.ask("PUT", b1, R"({"address":"192.0.2.9:80","admin":"draining","drain":{"deadline_seconds":9}})")) ==
        200);
  CHECK(asked<model::AddBackend>(bed).backend.drain == model::Drain{0, 9});

  const auto refused = [&](const std::string& drain) {
    return message(bed.ask("PATCH", b1, R"({"admin":"draining","drain":)" + drain + "}"));
  };
  CHECK(refused("5") == "drain is 5; send an object with deadline_seconds, then, force_after, watch_seconds");
  CHECK(refused(R"({"deadline":5})") ==
        "drain: unknown field \"deadline\"; known are deadline_seconds, then, force_after, watch_seconds");
  CHECK(refused(R"({"deadline_seconds":"10m"})") ==
        "drain: deadline_seconds \"10m\" is not a whole number in 0..4294967295");
  CHECK(refused(R"({"then":"delete"})") == "drain: then: \"delete\" is not known; write remove, or leave it out");
  CHECK(refused(R"({"force_after":1})") == "drain: force_after 1 is not true or false");
  CHECK(refused(R"({"then":"remove","then":"remove"})") == "field \"then\" is given twice");
  CHECK(message(bed.ask("PATCH", "/v1/services/web", R"({"track":"some"})")) ==
        "track \"some\" is not known; write changes or all");
}

TEST_CASE("a dry run and a diff tell the effects; a diff changes nothing and is stopped by no safety rule", "[api]") {
  Bed bed;
  model::Plan plan{{model::Step{"web", nullptr, nullptr}}, {"web/b3 added"}, {{"web", 65536, 144, 12431, 0, true}}};
  bed.script.outcome = plan;
  const std::string answer = bed.ask("POST", "/v1/diff?file=lb.toml", "good");
  CHECK(status(answer) == 200);
  const auto document = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  CHECK(document["effects"] ==
        nlohmann::json::parse(R"([{"service":"web","rows":65536,"rows_moved":144,"share":0.002197265625,)"
                              R"("flows_known":12431,"flows_affected":0,"complete":true}])"));
  asked<model::Replace>(bed);
  CHECK(bed.script.last->dry_run);
  CHECK(bed.script.last->force);
  CHECK(message(bed.ask("POST", "/v1/diff?file=my.toml", "bad")) == "my.toml:1:1: no");
  CHECK(status(bed.ask("POST", "/v1/diff?dry-run=true", "good")) == 400);
  CHECK(status(bed.ask("POST", "/v1/diff", std::string(100'000, '#'))) == 200);
}

TEST_CASE("flows are named by service, backend, protocol, source and destination", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("GET", "/v1/conns/count")) == 200);
  CHECK(bed.script.filtered->empty());
  CHECK(status(bed.ask("GET",
                       "/v1/conns/count?backend=web%2Fb1&protocol=udp&source=[2001:db8::2]:9&"
                       "destination=203.0.113.1:80")) == 200);
  const ConnFilter& filter = *bed.script.filtered;
  CHECK(filter.service == "web");
  CHECK(filter.backend == "b1");
  CHECK(filter.protocol == Protocol::udp);
  CHECK(filter.source == *model::parse_ip("2001:db8::2"));
  CHECK(filter.source_port == u16{9});
  CHECK(filter.destination == *model::parse_endpoint("203.0.113.1:80"));
  CHECK(status(bed.ask("GET", "/v1/conns/count?source=2001:db8::2&service=web")) == 200);
  CHECK(bed.script.filtered->source == *model::parse_ip("2001:db8::2"));
  CHECK_FALSE(bed.script.filtered->source_port);

  for (const char* wrong : {"service=Web", "service=", "backend=b1", "backend=web/", "backend=/b1", "backend=web/b1/x",
                            "source=web", "source=192.0.2.1:x", "source=", "destination=203.0.113.1", "protocol=icmp",
                            "service=web&backend=dns/b1", "sourse=192.0.2.1"}) {
    INFO(wrong);
    for (const char* path : {"/v1/conns?", "/v1/conns/count?"})
      CHECK(status(bed.ask("GET", std::string(path) + wrong)) == 400);
    CHECK(status(bed.ask("POST", std::string("/v1/conns/kill?") + wrong)) == 400);
  }
  CHECK(bed.script.kills == 0);
  CHECK(message(bed.ask("POST", "/v1/conns/kill")) ==
        "this would end every flow; name a service, backend, source, destination or protocol");
  CHECK_THAT(bed.ask("POST", "/v1/conns/kill?source=192.0.2.1"), EndsWith("{\"killed\":7}\n"));
  CHECK(bed.script.kills == 1);
  CHECK_THAT(bed.ask("GET", "/v1/services/web/backends/b1/drain"), Contains("\"state\":\"none\""));
}

TEST_CASE("a long answer is sent piece by piece, and the connection stays usable", "[api]") {
  Bed bed;
  bed.script.pieces = {"{\"a\":1}\n", "", "", "{\"b\":2}\n{\"c\":3}\n"};
  Client client = bed.client();
  client.send("GET /v1/conns HTTP/1.1\r\n\r\n");
  const std::string head = client.receive(false);
  CHECK_THAT(head, Contains("Content-Type: application/x-ndjson\r\n") && Contains("Transfer-Encoding: chunked\r\n"));
  CHECK(client.receive_until("\r\n0\r\n\r\n") == "8\r\n{\"a\":1}\n\r\n10\r\n{\"b\":2}\n{\"c\":3}\n\r\n0\r\n\r\n");
  CHECK(status(client.ask(get_status)) == 200);
  client.send("HEAD /v1/conns HTTP/1.1\r\n\r\n");
  CHECK(status(client.receive(false)) == 200);
  CHECK(status(client.ask(get_status)) == 200);
  bed.script.pieces = {};
  client.send("GET /v1/conns HTTP/1.1\r\n\r\n");
  CHECK(status(client.receive(false)) == 200);
  CHECK(client.receive_until("0\r\n\r\n") == "0\r\n\r\n");
  CHECK(status(bed.ask("GET", "/v1/conns?service=none")) == 404);

  bed.script.pieces = {"x\n", "y\n"};  // HTTP/1.0 knows no chunks: the connection ends with the body
  Client old = bed.client();
  old.send("GET /v1/conns HTTP/1.0\r\n\r\n");
  const std::string whole = old.receive_until("y\n");
  CHECK_THAT(whole, EndsWith("\r\n\r\nx\ny\n"));
  CHECK_THAT(whole, !Contains("chunked"));
  CHECK(old.closed());
}

TEST_CASE("a client that stops reading a long answer is dropped, and no piece is made ahead of it", "[api]") {
  Bounds bounds;
  bounds.idle = std::chrono::milliseconds(100);
  Bed bed(bounds);
  bed.script.pieces.assign(1000, std::string(64 * 1024, 'x'));
  Client client = bed.client();
  client.send("GET /v1/conns HTTP/1.1\r\n\r\n");
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(50));
  const int made = bed.script.pieces_made;
  CHECK(made < 100);  // as many as the socket holds
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(300));
  CHECK(bed.script.pieces_made == made);
  CHECK(client.receive_until("\r\n0\r\n\r\n").empty());  // what was sent breaks off, and the connection ends
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
}

TEST_CASE("a long answer that fails half-way breaks off, and one under way does not hold up a stop", "[api]") {
  Bed bed;
  bed.script.pieces = {"x\n", "y\n"};
  bed.script.break_after = 1;
  Client client = bed.client();
  client.send("GET /v1/conns HTTP/1.1\r\n\r\n");
  CHECK(client.receive_until("0\r\n\r\n").empty());
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);

  bed.script.break_after = {};
  bed.script.endless = true;
  Client endless = bed.client();
  endless.send("GET /v1/conns HTTP/1.1\r\n\r\n");
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
  bool drained = false;
  bed.server->stop([&] { drained = true; }, std::chrono::milliseconds(50));
  run_until(bed, drained);
  CHECK(drained);
}

TEST_CASE("names in paths are percent-decoded and validated", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("DELETE", "/v1/services/%77eb/backends/b%2e1")) == 200);
  const auto gone = asked<model::DeleteBackend>(bed);
  CHECK(gone.service == "web");
  CHECK(gone.backend == "b.1");
  for (const char* bad : {"%2Fweb", "a%2fb", "%00", "%ff%fe", "web%0a", "Web", "..", "%7e", "-", "%1b%5b31m"}) {
    INFO(bad);
    const std::string response = bed.ask("DELETE", std::string("/v1/services/") + bad);
    CHECK(status(response) == 400);
    CHECK_THAT(message(response), Contains("service name"));
  }
  for (const char* broken : {"%", "%4", "%zz", "we%b"})
    CHECK(status(bed.ask("GET", std::string("/v1/services/") + broken)) == 400);
  CHECK(message(bed.ask("DELETE", "/v1/services/web/backends/-")).starts_with("backend name \"-\""));
}

TEST_CASE("trace takes its packet from the query", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("GET",
                       "/v1/trace?protocol=udp&source=%5B2001%3Adb8::2%5D:9&destination=[2001:db8::1]:53&syn=true")) ==
        200);
  REQUIRE(bed.script.traced);
  CHECK(bed.script.traced->protocol == Protocol::udp);
  CHECK(bed.script.traced->source.port == 9);
  CHECK(bed.script.traced->destination.port == 53);
  CHECK(bed.script.traced->syn);
  CHECK(message(bed.ask("GET", "/v1/trace?protocol=udp")) == "parameter \"source\" is missing");
  CHECK_THAT(message(bed.ask("GET", "/v1/trace?protocol=udp&source=1.2.3.4")), Contains("source: "));
}

TEST_CASE("apply hands the text to the parser under the name that the client gave", "[api]") {
  Bed bed;
  CHECK(message(bed.ask("POST", "/v1/apply?file=my%20lb.toml", "bad")) == "my lb.toml:1:1: no");
  CHECK(status(bed.ask("POST", "/v1/apply?file=%ff%fe", "bad")) == 400);  // not UTF-8, but quoted in a JSON string
  CHECK(bed.script.mutations == 0);
  CHECK(status(bed.ask("POST", "/v1/apply", "good")) == 200);
  asked<model::Replace>(bed);
}

TEST_CASE("an exception in an operation is a 500, and the server goes on", "[api]") {
  Bed bed;
  CHECK(status(bed.ask("GET", "/v1/stats")) == 500);
  CHECK_THAT(message(bed.ask("GET", "/v1/stats")), Contains("counters are gone"));
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
}

TEST_CASE("bytes that are no request are 400 and end the connection", "[api]") {
  Bed bed;
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8), std::string("GET\r\n\r\n"), std::string("hello\r\n\r\n"),
        std::string("GET /v1/status\r\n\r\n"), std::string("GET /v1/status HTTP/2.0\r\n\r\n"),
        std::string("GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("GET /v1/status HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::string("GET /v1/status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), std::string(64, '\0')}) {
    Client client = bed.client();
    INFO(garbage);
    CHECK(status(client.ask(garbage)) == 400);
    CHECK(client.closed());
  }
  CHECK(status(bed.ask("GET", "v1/status")) == 400);
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
}

TEST_CASE("a header above the bound is 431, a body above it 413 without being read", "[api]") {
  Bed bed;
  CHECK(status(bed.client().ask("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n")) == 431);
  CHECK(status(bed.client().ask("GET / HTTP/1.1\r\nA: " + std::string(1'000'000, 'a'))) == 431);
  CHECK(status(bed.client().ask("POST /v1/apply HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n")) == 413);
  CHECK(status(bed.client().ask("PUT /v1/services/web HTTP/1.1\r\nContent-Length: 65537\r\n\r\n")) == 413);
  CHECK(status(bed.client().ask("PUT /v1/services/web HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" +
                                std::string(0x20000, ' ') + "\r\n0\r\n\r\n")) == 413);
  CHECK(bed.script.mutations == 0);
}

TEST_CASE("apply takes a body of 64 MiB, announced, chunked or after 100 Continue", "[api]") {
  Bed bed;
  const std::size_t size = 64 * 1024 * 1024;
  Client client = bed.client();
  client.patience = std::chrono::seconds(60);
  client.send(fmt::format("POST /v1/apply HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", size));
  CHECK(client.receive() == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(status(client.ask(std::string(size, '#'))) == 200);
  CHECK(bed.script.config_size == size);
  CHECK(status(client.ask("POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n###\r\n0\r\n\r\n")) ==
        200);
  CHECK(bed.script.config_size == 3);
}

TEST_CASE("one connection carries many requests, also when they arrive together or byte by byte", "[api]") {
  Bed bed;
  Client client = bed.client();
  for (int i = 0; i < 100; ++i) CHECK(status(client.ask(get_status)) == 200);
  client.send(get_status + get_status + get_status);
  for (int i = 0; i < 3; ++i) CHECK(status(client.receive()) == 200);
  for (const char byte : get_status) client.send({&byte, 1});
  CHECK(status(client.receive()) == 200);
  CHECK(status(client.ask("GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n")) == 200);
  CHECK(client.closed());
  CHECK(status(bed.client().ask("GET /v1/status HTTP/1.0\r\n\r\n")) == 200);
}

TEST_CASE("half a request does no harm: the client leaves, stops sending, or falls silent", "[api]") {
  Bounds bounds;
  bounds.idle = std::chrono::milliseconds(50);
  Bed bed(bounds);
  for (std::size_t n = 1; n < get_status.size(); ++n) bed.client().send(get_status.substr(0, n));
  {
    Client client = bed.client();
    client.send("PUT /v1/services/web HTTP/1.1\r\nContent-Length: 100\r\n\r\n{");
    client.stop_sending();
    CHECK(status(client.receive()) == 400);
  }
  Client silent = bed.client();
  silent.send("GET /v1/sta");
  CHECK(silent.closed());
  Client idle = bed.client();
  CHECK(status(idle.ask(get_status)) == 200);
  CHECK(idle.closed());
  CHECK(bed.script.mutations == 0);
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
}

TEST_CASE("connections above the limit are told so, and are served again once there is room", "[api]") {
  Bed bed;
  std::vector<std::unique_ptr<Client>> clients;
  const sockaddr_un address = unix_address(bed.path);
  const auto connect_one = [&] {
    return std::make_unique<Client>(bed.loop, AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  };
  for (int i = 0; i < 64; ++i) {
    clients.push_back(connect_one());
    REQUIRE(status(clients.back()->ask(get_status)) == 200);
  }
  CHECK(status(connect_one()->ask(get_status)) == 503);
  clients.erase(clients.begin(), clients.begin() + 8);
  CHECK(status(clients.back()->ask(get_status)) == 200);
  CHECK(status(connect_one()->ask(get_status)) == 200);
  for (int i = 0; i < 300; ++i) clients.push_back(connect_one());
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(20));
  clients.clear();
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(20));
  CHECK(status(connect_one()->ask(get_status)) == 200);
}

TEST_CASE("an answer may come later, and the client need not be there any more", "[api]") {
  Bounds bounds;
  bounds.idle = std::chrono::milliseconds(50);
  Bed bed(bounds);
  bed.script.hold = true;
  Client patient = bed.client();
  patient.send("DELETE /v1/services/web HTTP/1.1\r\n\r\n");
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(150));  // the idle bound does not cut off an operation
  REQUIRE(bed.script.held);
  bed.script.held(bed.script.outcome);
  CHECK(status(patient.receive()) == 200);

  {
    Client gone = bed.client();
    gone.send("DELETE /v1/services/web HTTP/1.1\r\n\r\n");
    bed.loop.restart();
    bed.loop.run_for(std::chrono::milliseconds(5));
  }
  bed.script.held(bed.script.outcome);
  bed.script.held(bed.script.outcome);  // an answer too many is ignored
  bed.loop.restart();
  bed.loop.run_for(std::chrono::milliseconds(5));
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);
}

TEST_CASE("an answer that comes after the server is gone goes nowhere", "[api]") {
  Bed bed;
  bed.script.hold = true;
  Client client = bed.client();
  client.send("DELETE /v1/services/web HTTP/1.1\r\n\r\n");
  REQUIRE(bed.script.held);
  bed.server.reset();
  bed.script.held(bed.script.outcome);
  CHECK(client.closed());
}

TEST_CASE("detach stops the server from within, and its answer still arrives", "[api]") {
  Bed bed;
  bool drained = false;
  bed.script.on_detach = [&] { bed.server->stop([&] { drained = true; }); };
  Client idle = bed.client();
  CHECK(status(idle.ask(get_status)) == 200);
  Client client = bed.client();
  client.send("POST /v1/detach HTTP/1.1\r\n\r\n");
  run_until(bed, drained);
  CHECK(drained);
  bed.server.reset();
  const std::string response = client.receive();
  CHECK(status(response) == 200);
  CHECK_THAT(response, Contains("Connection: close"));
  CHECK(idle.closed());
  CHECK_FALSE(std::filesystem::exists(bed.path));
}

TEST_CASE("a stop waits for answers that are due, but not for ever", "[api]") {
  Bed bed;
  bed.script.hold = true;
  Client waiting = bed.client();
  waiting.send("DELETE /v1/services/web HTTP/1.1\r\n\r\n");
  bool drained = false;
  SECTION("the answer comes within the grace") {
    bed.server->stop([&] { drained = true; });
    bed.loop.restart();
    bed.loop.run_for(std::chrono::milliseconds(20));
    CHECK_FALSE(drained);
    bed.script.held(bed.script.outcome);
    CHECK(status(waiting.receive()) == 200);
  }
  SECTION("the answer never comes") {
    bed.server->stop([&] { drained = true; }, std::chrono::milliseconds(20));
  }
  run_until(bed, drained);
  CHECK(drained);
}

TEST_CASE("the socket has mode 0660, its directories are made, and it goes with the server", "[api]") {
  TemporaryDirectory directory;
  boost::asio::io_context loop;
  Script script;
  const std::string path = directory.path + "/a/b/lbd.sock";
  const mode_t old = umask(0);
  auto server = Server::listen(loop, script, path);
  umask(old);
  REQUIRE(server);
  struct stat info {};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0660);
  REQUIRE(lstat((directory.path + "/a/b").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0755);
  server->reset();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a socket path that is taken stays as it is; a dead socket is replaced", "[api]") {
  Bed bed;
  Script script;
  const auto refused = [&](const std::string& path) {
    const auto server = Server::listen(bed.loop, script, path);
    REQUIRE_FALSE(server);
    return server.error().message;
  };
  CHECK(refused(bed.path) == "another lbd is listening on " + bed.path + "; stop it or choose --socket");
  CHECK(status(bed.ask("GET", "/v1/status")) == 200);

  const std::string file = bed.directory.path + "/file";
  std::ofstream(file) << "precious";
  CHECK_THAT(refused(file), Contains("is not a socket"));
  CHECK(std::filesystem::file_size(file) == 8);
  CHECK_THAT(refused(bed.directory.path), Contains("is not a socket"));
  CHECK_THAT(refused(file + "/lbd.sock"), Contains("file"));
  CHECK_THAT(refused(""), Contains("1..107"));
  CHECK_THAT(refused("/tmp/" + std::string(200, 'x')), Contains("1..107"));

  const std::string dead = bed.directory.path + "/dead.sock";
  const sockaddr_un address = unix_address(dead);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  close(fd);
  auto server = Server::listen(bed.loop, script, dead);
  REQUIRE(server);

  // A socket that another program has put in its place in the meantime is not this server's to remove.
  std::filesystem::remove(dead);
  auto successor = Server::listen(bed.loop, script, dead);
  REQUIRE(successor);
  server->reset();
  CHECK(std::filesystem::exists(dead));
}

TEST_CASE("the metrics listener serves GET /metrics over TCP and nothing else", "[api]") {
  boost::asio::io_context loop;
  Script script;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  {  // a port that is free now
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof address;
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
  }
  const std::string listen = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  auto server = Server::listen_metrics(loop, script, listen);
  REQUIRE(server);
  Client client(loop, AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  CHECK_THAT(client.ask("GET /metrics HTTP/1.1\r\n\r\n"), EndsWith("weir_up 1\n"));
  CHECK(status(client.ask("GET /v1/status HTTP/1.1\r\n\r\n")) == 404);
  CHECK(status(client.ask("POST /v1/detach HTTP/1.1\r\nContent-Length: 0\r\n\r\n")) == 404);
  CHECK(status(client.ask("DELETE /metrics HTTP/1.1\r\n\r\n")) == 405);
  CHECK(script.detached == 0);

  const auto taken = Server::listen_metrics(loop, script, listen);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message == "metrics-listen " + listen + " cannot be bound: Address already in use");
  const auto wrong = Server::listen_metrics(loop, script, "localhost:9464");
  REQUIRE_FALSE(wrong);
  CHECK_THAT(wrong.error().message, Contains("metrics-listen: \"localhost\" is not"));
}

// SPDX-License-Identifier: Apache-2.0
// Long because each way in which a file can be damaged or old is shown, and that the disk can fail.
#include "control/store/state_file.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "control/model/text.hpp"
#include "control/store/atomic_file.hpp"
#include "control/store/seed_file.hpp"

namespace {

using namespace weir::model;
using weir::u32;
using weir::store::load_or_create_seed;
using weir::store::State;
using weir::store::StateFile;
namespace fs = std::filesystem;

/// A directory that goes away with the test.
class Directory {
 public:
  Directory() {
    std::string pattern = (fs::temp_directory_path() / "weir-state-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Directory() { fs::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }
  [[nodiscard]] long entries() const { return std::distance(fs::directory_iterator(path_), fs::directory_iterator()); }

 private:
  fs::path path_;
};

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::shared_ptr<const Service> service(const std::string& name, u32 backends) {
  Service s{name,
            *parse_endpoint("[2001:db8::10]:80"),
            weir::Protocol::udp,
            weir::Mode::gue,
            weir::HashOn::source,
            256,
            1400,
            Track::all,
            OnRemove::reset,
            60,
            45,
            5,
            {}};
  for (u32 i = 0; i < backends; ++i)
    s.backends.push_back({fmt::format("b{}", i), *parse_endpoint(fmt::format("[2001:db8::{:x}]:80", i + 1)), i,
                          static_cast<weir::Admin>(1 + i % 3)});
  for (Backend& backend : s.backends)
    if (backend.admin == weir::Admin::draining) backend.drain = Drain{1ULL << 33, 600, true, true, 7};
  return std::make_shared<const Service>(s);
}

State example() {
  return {"applied-1",
          0xfedcba9876543210ULL,
          {{"web", service("web", 4)}, {"empty", service("empty", 0)}},
          {"gone", "old"}};
}

void check_equal(const State& a, const State& b) {
  CHECK(a.base == b.base);
  CHECK(a.config_checksum == b.config_checksum);
  CHECK(a.tombstones == b.tombstones);
  REQUIRE(a.services.size() == b.services.size());
  for (const auto& [name, one] : a.services) CHECK(*one == *b.services.at(name));
}

TEST_CASE("a saved state loads as it was, and only its owner can read it") {
  const Directory directory;
  StateFile file(directory / "state");
  REQUIRE(file.save(example()).has_value());
  check_equal(*StateFile(directory / "state").load(), example());
  CHECK(mode_of(directory / "state") == 0600);
  CHECK(directory.entries() == 1);
  REQUIRE(file.save(State{}).has_value());
  check_equal(*file.load(), State{});
}

TEST_CASE("an absent state file is an empty state") {
  const Directory directory;
  check_equal(*StateFile(directory / "state").load(), State{});
  CHECK(directory.entries() == 0);
}

TEST_CASE("the first line tells format, version, checksum and length") {
  const Directory directory;
  REQUIRE(StateFile(directory / "state").save(State{}).has_value());
  const std::string text = content(directory / "state");
  const std::size_t line = text.find('\n');
  const std::string body = text.substr(line + 1);
  CHECK(text.substr(0, line) == fmt::format("weir-state 1 {:016x} {}", weir::store::checksum(body), body.size()));
  CHECK(weir::store::checksum("") == 0xef46db3751d8e999ULL);  // XXH64's published value for no input and seed 0
}

TEST_CASE("a state file cut at any length is refused, with its path and what to do") {
  const Directory directory;
  REQUIRE(StateFile(directory / "state").save(example()).has_value());
  const std::string whole = content(directory / "state");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(directory / "state", whole.substr(0, length));
    const auto loaded = StateFile(directory / "state").load();
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().fault == weir::Fault::invalid);
    CHECK_THAT(loaded.error().message, Catch::Contains(directory / "state") && Catch::Contains("move it away"));
  }
  put(directory / "state", whole + "x");
  CHECK_FALSE(StateFile(directory / "state").load().has_value());
}

TEST_CASE("a state file with one bit changed is refused, or loads as it was") {
  // Letter case of the checksum in the first line is the one thing that may change without harm. Every fifth bit, so
  // that each position in a byte is tried: writing files is what takes the time.
  const Directory directory;
  const State small{"applied-1", 7, {{"web", service("web", 1)}}, {"gone"}};
  REQUIRE(StateFile(directory / "state").save(small).has_value());
  const std::string whole = content(directory / "state");
  unsigned accepted = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 5) {
    std::string text = whole;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    put(directory / "state", text);
    const auto loaded = StateFile(directory / "state").load();
    if (!loaded) continue;
    ++accepted;
    check_equal(*loaded, small);
  }
  CHECK(accepted <= 16);
}

TEST_CASE("each kind of damage is named") {
  const Directory directory;
  REQUIRE(StateFile(directory / "state").save(example()).has_value());
  const std::string whole = content(directory / "state");
  const auto complaint = [&](const std::string& text) {
    put(directory / "state", text);
    const auto loaded = StateFile(directory / "state").load();
    return loaded ? "accepted" : loaded.error().message;
  };
  const auto signed_body = [](const std::string& body) {
    return fmt::format("weir-state 1 {:016x} {}\n{}", weir::store::checksum(body), body.size(), body);
  };
  CHECK_THAT(complaint(""), Catch::Contains("it does not begin with \"weir-state \""));
  CHECK_THAT(complaint("[[service]]"), Catch::Contains("it does not begin with \"weir-state \""));
  CHECK_THAT(complaint("weir-state 2 0 0\n"), Catch::Contains("it is of version \"2\", this lbd reads version 1"));
  CHECK_THAT(complaint("weir-state 1 xyz 0\n"), Catch::Contains("its first line is damaged"));
  CHECK_THAT(complaint(whole.substr(0, whole.size() / 2)), Catch::Contains("bytes after the first line, which says"));
  std::string altered = whole;
  altered.back() = ' ';
  CHECK_THAT(complaint(altered), Catch::Contains("its checksum is"));
  CHECK_THAT(complaint(signed_body("{")), Catch::Contains("its body is not the JSON that lbd writes"));
  CHECK_THAT(complaint(signed_body("[]")), Catch::Contains("its body is not the JSON that lbd writes"));
  const std::string start = R"({"base":"","config_checksum":"0","tombstones":[],"services":{"web":)";
  CHECK_THAT(complaint(signed_body(start + "7}}")), Catch::Contains("service \"web\" is not an object"));
  CHECK_THAT(complaint(signed_body(start + "{}}}")), Catch::Contains("service \"web\" has no valid \"vip\""));
  const std::string fields = R"({"vip":"192.0.2.1:80","mode":"nat","hash":"5tuple","rows":256,"backends":)";
  CHECK(complaint(signed_body(start + fields + "[]}}}")) == "accepted");
  CHECK_THAT(complaint(signed_body(start + fields + "[{\"name\":\"b1\"}]}}}")),
             Catch::Contains("a backend of service \"web\" has no valid \"address\""));
}

TEST_CASE("a state file of before flows were remembered loads with the defaults of each protocol") {
  const Directory directory;
  const std::string body = R"({"base":"","config_checksum":"0","tombstones":[],"services":{)"
                           R"("dns":{"vip":"udp:192.0.2.1:53","mode":"nat","hash":"5tuple","rows":256,"backends":[]},)"
                           R"("web":{"vip":"192.0.2.1:80","mode":"nat","hash":"5tuple","rows":256,"backends":[)"
                           R"({"name":"b1","address":"192.0.2.9:80","weight":1,"admin":"draining"}]}}})";
  put(directory / "state", fmt::format("weir-state 1 {:016x} {}\n{}", weir::store::checksum(body), body.size(), body));
  const auto loaded = StateFile(directory / "state").load();
  if (!loaded) FAIL(loaded.error().message);
  const Service& dns = *loaded->services.at("dns");
  CHECK(dns.on_remove == OnRemove::rehash);
  CHECK(dns.idle == 30);
  const Service& web = *loaded->services.at("web");
  CHECK(web.track == Track::changes);
  CHECK(web.on_remove == OnRemove::keep);
  CHECK(web.settle == 900);
  CHECK(web.idle == 3 * 3600);
  CHECK(web.idle_closing == 60);
  CHECK_FALSE(web.backends.at(0).drain);
}

TEST_CASE("a drain that is damaged is named") {
  const Directory directory;
  const std::string body =
      R"({"base":"","config_checksum":"0","tombstones":[],"services":{"web":{"vip":"192.0.2.1:80","mode":"nat",)"
      R"("hash":"5tuple","rows":256,"backends":[{"name":"b1","address":"192.0.2.9:80","weight":1,"admin":"draining",)"
      R"("drain":{"started":5,"deadline_seconds":"x","then_remove":false,"force_after":false,"watch_seconds":5}}]}}})";
  put(directory / "state", fmt::format("weir-state 1 {:016x} {}\n{}", weir::store::checksum(body), body.size(), body));
  const auto loaded = StateFile(directory / "state").load();
  REQUIRE_FALSE(loaded.has_value());
  CHECK_THAT(loaded.error().message, Catch::Contains("the drain of web/b1 has no valid \"deadline_seconds\""));
}

TEST_CASE("a state file of before there was an MSS leaves it alone") {
  const Directory directory;
  const std::string body =
      R"({"base":"","config_checksum":"0","tombstones":[],"services":{"web":{"vip":"192.0.2.1:80","mode":"nat",)"
      R"("hash":"5tuple","rows":256,"backends":[]}}})";
  put(directory / "state", fmt::format("weir-state 1 {:016x} {}\n{}", weir::store::checksum(body), body.size(), body));
  const auto loaded = StateFile(directory / "state").load();
  REQUIRE(loaded.has_value());
  CHECK(loaded->services.at("web")->mss == 0);
}

TEST_CASE("after a change of one service only that one is replaced in the file") {
  const Directory directory;
  StateFile file(directory / "state");
  State state = example();
  REQUIRE(file.save(state).has_value());
  state.services["web"] = service("web", 2);
  state.services.erase("empty");
  state.services["new"] = service("new", 1);
  state.tombstones = {"empty"};
  REQUIRE(file.save(state).has_value());
  check_equal(*StateFile(directory / "state").load(), state);
  StateFile fresh(directory / "other");
  REQUIRE(fresh.save(state).has_value());
  CHECK(content(directory / "state") == content(directory / "other"));
}

TEST_CASE("a disk that fills up leaves the old file as it was") {
  const Directory directory;
  StateFile file(directory / "state");
  REQUIRE(file.save(State{}).has_value());
  const std::string before = content(directory / "state");

  // A limit on file size fails the write half-way, as a full disk does, and needs no privilege.
  rlimit old{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const rlimit small{100, old.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto saved = file.save(example());
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);

  REQUIRE_FALSE(saved.has_value());
  CHECK(saved.error().fault == weir::Fault::internal);
  CHECK_THAT(saved.error().message, Catch::Contains(directory / "state") && Catch::Contains("write: File too large") &&
                                        Catch::Contains("Nothing was changed"));
  CHECK(content(directory / "state") == before);
  CHECK(directory.entries() == 1);
  REQUIRE(file.save(example()).has_value());
  check_equal(*file.load(), example());
}

TEST_CASE("a place that cannot be written to is named with reason and advice") {
  const Directory directory;
  const auto missing = StateFile(directory / "none/state").save(State{});
  CHECK_THAT(missing.error().message, Catch::Contains("No such file or directory; make the directory"));
  put(directory / "plain", "");
  const auto not_directory = StateFile(directory / "plain/state").save(State{});
  CHECK_THAT(not_directory.error().message, Catch::Contains("Not a directory; make the directory"));
  fs::create_directory(directory / "taken");
  const auto taken = StateFile(directory / "taken").save(State{});
  CHECK_THAT(taken.error().message, Catch::Contains("rename: Is a directory"));
  CHECK_FALSE(fs::exists(directory / "taken.new"));
}

TEST_CASE("what a crash left beside the file does no harm") {
  const Directory directory;
  put(directory / "state.new", "half a file");
  StateFile file(directory / "state");
  check_equal(*file.load(), State{});
  REQUIRE(file.save(example()).has_value());
  check_equal(*file.load(), example());
  CHECK(directory.entries() == 1);
}

TEST_CASE("a seed is made once, kept, and readable by its owner alone") {
  const Directory directory;
  const Seed seed = *load_or_create_seed(directory / "seed");
  CHECK(*load_or_create_seed(directory / "seed") == seed);
  CHECK(content(directory / "seed") == to_text(seed) + "\n");
  CHECK(mode_of(directory / "seed") == 0600);
  CHECK(*load_or_create_seed(directory / "other") != seed);
}

TEST_CASE("a damaged seed file is refused and left alone") {
  const Directory directory;
  for (const char* text :
       {"", "\n", "0011", "00112233445566778899aabbccddeeff\n\n", "zz112233445566778899aabbccddeeff"}) {
    put(directory / "seed", text);
    const auto seed = load_or_create_seed(directory / "seed");
    REQUIRE_FALSE(seed.has_value());
    CHECK(seed.error().fault == weir::Fault::invalid);
    CHECK(content(directory / "seed") == text);
  }
  put(directory / "seed", "00112233445566778899aabbccddeeff");
  CHECK(load_or_create_seed(directory / "seed").has_value());
}

}  // namespace

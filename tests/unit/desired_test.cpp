// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/desired.hpp"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "control/model/text.hpp"

namespace {

using namespace weir;
using daemon::Desired;
namespace fs = std::filesystem;

const std::string file_text = R"(
interfaces = ["l0"]
[[service]]
name = "web"
vip = "tcp:203.0.113.10:80"
mode = "nat"
  [[service.backend]]
  name = "b1"
  address = "198.51.100.1:8080"
[[service]]
name = "dns"
vip = "udp:203.0.113.10:53"
mode = "nat"
)";

/// One host's disk: opened any number of times, one after the other.
class Host {
 public:
  Host() {
    std::string pattern = (fs::temp_directory_path() / "weir-desired-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
  }
  ~Host() { fs::remove_all(directory_); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  std::unique_ptr<Desired> make() {
    return std::make_unique<Desired>(text, config::parse(text, "lb.toml").value(), directory_);
  }
  std::unique_ptr<Desired> open() {
    auto desired = make();
    auto plan = desired->start();
    if (!plan) FAIL(plan.error().message);
    desired->commit(*plan);
    return desired;
  }
  [[nodiscard]] std::string operator/(const char* name) const { return directory_ + "/" + name; }

  std::string text = file_text;

 private:
  std::string directory_;
};

void change(Desired& desired, const model::Mutation& mutation, bool applied = false) {
  auto plan = desired.plan(mutation, /*force=*/true);
  if (!plan) FAIL(plan.error().message);
  if (auto stored = desired.store(*plan, applied); !stored) FAIL(stored.error().message);
  desired.commit(*plan);
}

model::Service service(const std::string& name, const std::string& vip) {
  const model::Vip parsed = model::parse_vip(vip).value();
  return {.name = name, .vip = parsed.endpoint, .protocol = parsed.protocol, .rows = 256};
}
std::vector<model::Service> many(u32 count) {
  std::vector<model::Service> services;
  for (u32 i = 0; i < count; ++i)
    services.push_back(service(fmt::format("s{}", i), fmt::format("tcp:203.0.113.77:{}", 1000 + i)));
  return services;
}
u32 weight(const Desired& desired) { return desired.pool().find("web")->find("b1")->weight; }

}  // namespace

TEST_CASE("without runtime changes the state is the configuration file's") {
  Host host;
  const auto desired = host.open();
  CHECK(desired->pool().services().size() == 2);
  CHECK(desired->warnings().empty());
  CHECK_FALSE(fs::exists(host / "state"));
  CHECK(desired->as_configuration().settings == desired->settings());
}

TEST_CASE("services that were added, changed and deleted at runtime are so after a restart") {
  Host host;
  {
    const auto desired = host.open();
    change(*desired, model::AddService{service("tls", "tcp:203.0.113.10:443")});
    change(*desired, model::SetBackend{"web", "b1", 7, {}});
    change(*desired, model::DeleteService{"dns"});
  }
  for (int restart = 0; restart < 2; ++restart) {
    const auto desired = host.open();
    CHECK(desired->pool().find("tls"));
    CHECK(weight(*desired) == 7);
    CHECK_FALSE(desired->pool().find("dns"));
    CHECK(desired->warnings().size() == 1);
  }
}

TEST_CASE("a deleted service stays deleted when the file is edited elsewhere, and untouched ones follow the file") {
  Host host;
  change(*host.open(), model::DeleteService{"dns"});
  host.text += "[[service]]\nname = \"new\"\nvip = \"tcp:203.0.113.99:80\"\nmode = \"nat\"\n";
  const auto desired = host.open();
  CHECK_FALSE(desired->pool().find("dns"));
  CHECK(desired->pool().find("new"));
}

TEST_CASE("a service that was deleted and added again counts as added") {
  Host host;
  change(*host.open(), model::DeleteService{"dns"});
  change(*host.open(), model::AddService{service("dns", "udp:203.0.113.10:5353")});
  CHECK(host.open()->pool().find("dns")->vip.port == 5353);
}

TEST_CASE("a runtime change that ends where the file is leaves no overlay") {
  Host host;
  change(*host.open(), model::SetBackend{"web", "b1", 7, {}});
  change(*host.open(), model::SetBackend{"web", "b1", 100, {}});
  const auto file = host.text;
  host.text = std::string(file).replace(file.find(":8080"), 5, ":9090");
  const auto desired = host.open();
  CHECK(desired->warnings().empty());
  CHECK(desired->pool().find("web")->find("b1")->endpoint.port == 9090);
}

TEST_CASE("an applied set is the base: it replaces the file's services over restarts and takes changes") {
  Host host;
  change(*host.open(), model::SetBackend{"web", "b1", 7, {}});
  change(*host.open(), model::Replace{many(5)}, true);
  {
    const auto desired = host.open();
    CHECK(desired->pool().services().size() == 5);
    CHECK(desired->warnings().empty());
    change(*desired, model::DeleteService{"s1"});
    change(*desired, model::AddService{service("extra", "tcp:203.0.113.10:443")});
  }
  const auto desired = host.open();
  CHECK(desired->pool().services().size() == 5);
  CHECK_FALSE(desired->pool().find("s1"));
  CHECK(desired->pool().find("extra"));
  CHECK_FALSE(desired->pool().find("web"));
}

TEST_CASE("a second apply replaces the first and its changes, and leaves one set on disk") {
  Host host;
  change(*host.open(), model::Replace{many(5)}, true);
  change(*host.open(), model::DeleteService{"s1"});
  change(*host.open(), model::Replace{many(3)}, true);
  const auto desired = host.open();
  CHECK(desired->pool().services().size() == 3);
  CHECK(desired->pool().find("s1"));
  CHECK(fs::exists(host / "applied-1") != fs::exists(host / "applied-2"));
}

TEST_CASE("a configuration file that is edited after an apply counts again, with a warning") {
  Host host;
  change(*host.open(), model::Replace{many(5)}, true);
  host.text += "\n# edited\n";
  {
    const auto desired = host.open();
    CHECK(desired->pool().services().size() == 2);
    REQUIRE(desired->warnings().size() == 1);
    CHECK(desired->warnings()[0].find("was edited after the last `lbctl apply`") != std::string::npos);
    change(*desired, model::SetBackend{"web", "b1", 7, {}});
  }
  CHECK(weight(*host.open()) == 7);
}

TEST_CASE("the file that a change writes does not grow with the applied set") {
  u64 sizes[2] = {};
  for (const u32 count : {10U, 1000U}) {
    Host host;
    change(*host.open(), model::Replace{many(count)}, true);
    change(*host.open(), model::DeleteService{"s1"});
    sizes[count == 1000] = fs::file_size(host / "state");
  }
  CHECK(sizes[0] == sizes[1]);
}

TEST_CASE("an applied set that is missing is an error that names the files, and nothing starts from half a state") {
  Host host;
  change(*host.open(), model::Replace{many(5)}, true);
  fs::remove(host / "applied-1");
  const auto plan = host.make()->start();
  REQUIRE_FALSE(plan);
  CHECK(plan.error().fault == Fault::invalid);
  CHECK(plan.error().message.find(host / "applied-1") != std::string::npos);
  CHECK(plan.error().message.find(host / "state") != std::string::npos);
}

TEST_CASE("a file that contradicts the runtime changes is an error that says where both are") {
  Host host;
  change(*host.open(), model::AddService{service("tls", "tcp:203.0.113.99:443")});
  host.text += "[[service]]\nname = \"other\"\nvip = \"tcp:203.0.113.99:443\"\nmode = \"nat\"\n";
  const auto plan = host.make()->start();
  REQUIRE_FALSE(plan);
  CHECK(plan.error().message.find(host / "state") != std::string::npos);
}

TEST_CASE("a plan that is not stored leaves no trace") {
  Host host;
  const auto desired = host.open();
  REQUIRE(desired->plan(model::DeleteService{"dns"}, true));
  CHECK(desired->pool().find("dns"));
  CHECK(host.open()->pool().find("dns"));
}

TEST_CASE("the tunnel settings of the file hold for changes at runtime, and for what is kept when they go") {
  Host host;
  host.text += "[tunnel]\nsource4 = \"198.18.0.0/16\"\n";
  model::Service tunnelled = service("tun", "tcp:203.0.113.20:80");
  tunnelled.mode = Mode::ipip;
  tunnelled.mss = 1400;
  {
    const auto desired = host.open();
    change(*desired, model::AddService{tunnelled});
    const auto add = [&](const char* endpoint) {
      return desired->plan(model::AddBackend{"tun", {"", model::parse_endpoint(endpoint).value()}}, true);
    };
    const auto refused = add("[2001:db8:b::1]:80");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("needs tunnel.source6") != std::string::npos);
    REQUIRE(add("198.51.100.1:80"));
    change(*desired, model::AddBackend{"tun", {"", model::parse_endpoint("198.51.100.1:80").value()}});
  }
  CHECK(host.open()->pool().find("tun")->mss == 1400);
  host.text = file_text;
  const auto plan = host.make()->start();
  REQUIRE_FALSE(plan);
  CHECK(plan.error().message.find("needs tunnel.source4") != std::string::npos);
  CHECK(plan.error().message.find(host / "state") != std::string::npos);
}

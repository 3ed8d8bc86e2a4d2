// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/path_size.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "control/model/text.hpp"

namespace {

using namespace weir;
using daemon::effective_mss;
using daemon::effective_mtu;

model::Service service(const std::string& vip, u32 mss = 0) {
  return {.name = "web", .vip = model::parse_endpoint(vip).value(), .mss = mss};
}

}  // namespace

TEST_CASE("the service's MTU is the smallest of its backends', those that are unknown left out") {
  CHECK(effective_mtu(std::vector<std::optional<u32>>{1500, 1480, 9000}) == 1480U);
  CHECK(effective_mtu(std::vector<std::optional<u32>>{std::nullopt, 1448}) == 1448U);
  CHECK_FALSE(effective_mtu(std::vector<std::optional<u32>>{std::nullopt}));
  CHECK_FALSE(effective_mtu({}));
  CHECK_FALSE(daemon::known_mtu(0));
  CHECK(daemon::known_mtu(1500) == 1500U);
}

TEST_CASE("the MSS is what the MTU leaves beside the headers of the VIP's family") {
  CHECK(effective_mss(service("203.0.113.10:80"), 1500) == 1460U);
  CHECK(effective_mss(service("[2001:db8:f::10]:80"), 1500) == 1440U);
  CHECK(effective_mss(service("203.0.113.10:80"), 1468) == 1428U);
}

TEST_CASE("a configured MSS counts where it is less, and only with a known MTU") {
  CHECK(effective_mss(service("203.0.113.10:80", 1400), 1500) == 1400U);
  CHECK(effective_mss(service("203.0.113.10:80", 1400), 1420) == 1380U);
  CHECK_FALSE(effective_mss(service("203.0.113.10:80", 1400), std::nullopt));
}

TEST_CASE("an MTU that holds no TCP header leaves an MSS of nothing, not a huge one") {
  CHECK(effective_mss(service("203.0.113.10:80"), 39) == 0U);
}

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;
using table::Effect;

Effect foreseen(FlowBed& bed, const model::Service& web) {
  const auto effects = bed.publisher().foresee(bed.plan({web}));
  return effects.empty() ? Effect{} : effects.front();
}

/// Another version of `web`: one thing is different.
void change(model::Service& web, std::mt19937& random) {
  const auto pick = [&](u32 n) { return static_cast<u32>(random() % n); };
  model::Backend& b = web.backends[pick(static_cast<u32>(web.backends.size()))];
  web.on_remove = std::array{model::OnRemove::keep, model::OnRemove::rehash, model::OnRemove::reset}[pick(3)];
  switch (pick(7)) {
    case 0:
      b.weight = pick(300);
      break;
    case 1:
      b.admin = std::array{Admin::active, Admin::draining, Admin::maint}[pick(3)];
      break;
    case 2:
      if (web.backends.size() > 3) web.backends.erase(web.backends.begin() + pick(3));
      break;
    case 3:
      web.rows = std::clamp(pick(2) == 0 ? web.rows * 2 : web.rows / 2, 256U, 1024U);
      break;
    case 4:
      web.hash = pick(4) == 0 ? HashOn::source : HashOn::five_tuple;
      break;
    default: {
      const model::Backend added = backend("198.51.100." + std::to_string(1 + pick(12)) + ":8080");
      if (std::none_of(web.backends.begin(), web.backends.end(), [&](auto& x) { return x.endpoint == added.endpoint; }))
        web.backends.push_back(added);
    }
  }
}

}  // namespace

TEST_CASE("as many rows move as were foreseen, and no flow breaks of a backend that was not named") {
  u32 moved = 0, died = 0;
  for (u32 seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    FlowBed bed;
    model::Service web = keeping(5);
    bed.replace({web});
    std::map<u32, u32> at;
    u32 next = 0;
    for (u32 step = 0; step < 25; ++step) {
      for (u32 i = 0; i < 40; ++i, ++next) at[next] = bed.open(client(next));
      for (auto& [i, backend] : at) backend = bed.send(client(i), ack);
      std::erase_if(at, [](const auto& flow) { return flow.second == 0; });
      change(web, random);
      const Effect effect = foreseen(bed, web);
      if (effect.service.empty()) continue;
      const u64 before = bed.publisher().moved("web");
      bed.replace({web});
      INFO("seed " << seed << ", step " << step);
      CHECK(bed.publisher().moved("web") - before == effect.rows_moved);
      CHECK(effect.rows == bed.publisher().placed("web")->rows);
      moved += effect.rows_moved;
      const auto has = [](const std::vector<u32>& ids, u32 id) {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
      };
      for (const auto& [i, backend] : at) {
        const bool broke = bed.send(client(i), ack) != backend;
        if (broke) CHECK((has(effect.dying, backend) || has(effect.losing, backend)));
        if (has(effect.dying, backend)) CHECK(broke);
        died += broke ? 1 : 0;
      }
      bed.live(1 + random() % 3);
    }
  }
  CHECK((moved > 1000 && died > 100));
}

TEST_CASE("foreseeing changes nothing") {
  FlowBed bed;
  bed.replace({keeping(5)});
  const auto image = [&] {
    const auto* const start = reinterpret_cast<const u8*>(bed.memory().globals);
    return std::vector<u8>(start, start + offsets_of(bed.memory().globals->sizes).end);
  };
  const auto before = image();
  model::Service other = keeping(7, 1024);
  other.backends.erase(other.backends.begin());
  const Effect effect = foreseen(bed, other);
  CHECK((effect.rows == 1024 && effect.rows_moved > 0));
  CHECK(image() == before);
}

TEST_CASE("a new service moves nothing, and a deleted one ends all flows of its backends") {
  FlowBed bed;
  const Effect added = foreseen(bed, keeping(3));
  CHECK((added.id == 0 && added.rows == 256 && added.rows_moved == 0 && added.dying.empty()));
  bed.replace({keeping(3)});
  const auto effects = bed.publisher().foresee(bed.plan({}));
  REQUIRE(effects.size() == 1);
  CHECK((effects[0].rows == 0 && effects[0].dying.size() == 3 && effects[0].id == bed.id("web")));
}

TEST_CASE("a service that changes its mode is another one: all of its flows end") {
  FlowBed bed;
  model::Service web = service("web", "tcp:203.0.113.10:80", {backend("198.51.100.1:80")});
  bed.replace({web});
  web.mode = Mode::l2dsr;
  CHECK(foreseen(bed, web).dying == std::vector<u32>{bed.id("web", "198.51.100.1:80")});
}

TEST_CASE("a removed backend that comes back in maintenance ends the flows that it was held for") {
  FlowBed bed;
  model::Service web = keeping(3);
  bed.replace({web});
  const u32 gone = bed.id("web", "198.51.100.1:8080");
  const model::Backend removed = web.backends[0];
  const auto at = begin(bed, 200);
  web.backends.erase(web.backends.begin());
  bed.replace({web});
  REQUIRE(broken(bed, at) == 0);
  web.backends.push_back(removed);
  web.backends.back().admin = Admin::maint;
  CHECK(foreseen(bed, web).dying == std::vector<u32>{gone});
  bed.replace({web});
  CHECK(broken(bed, at) > 0);
}

TEST_CASE("an addition, a drain and another weight end no flow") {
  FlowBed bed;
  model::Service web = keeping(5);
  bed.replace({web});
  web.backends[0].admin = Admin::draining;
  web.backends[1].weight = 10;
  web.backends.push_back(backend("198.51.100.9:8080"));
  const Effect effect = foreseen(bed, web);
  CHECK((effect.rows_moved > 0 && effect.dying.empty() && effect.losing.empty()));
}

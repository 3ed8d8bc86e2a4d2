// SPDX-License-Identifier: Apache-2.0
// Random operations over thousands of flows, against a map that says where each flow is.
#include <cstdlib>
#include <map>
#include <random>

#include "tests/unit/flow_bed.hpp"

namespace {

using namespace weir;
using namespace weir::testing;

std::string endpoint(u32 n) { return "198.51.100." + std::to_string(n) + ":8080"; }

class Churn {
 public:
  explicit Churn(u32 seed) : random_(seed) { bed_.replace({web_}); }

  void run(u32 steps) {
    for (u32 step = 0; step < steps; ++step) {
      change();
      traffic();
      bed_.pass(1 + pick(40));
      bed_.age();
      if (pick(2) == 0) {
        bed_.pass(1);
        bed_.age();
      }
    }
  }

  u32 broken = 0;     // packets that went to another backend than their flow's
  u32 misplaced = 0;  // SYNs to a backend that takes none
  u32 unended = 0;    // flows of a reset backend that were not told
  u32 packets = 0;
  u32 settled_once = 0;  // steps at whose end all rows were settled

 private:
  u32 pick(u32 n) { return static_cast<u32>(random_() % n); }
  Ip at(u32 backend) { return bed_.memory().backends[backend].address; }
  model::Backend* any_backend() {
    return web_.backends.size() < 4 ? nullptr : &web_.backends[pick(static_cast<u32>(web_.backends.size()))];
  }
  u32 active() {
    u32 count = 0;
    for (const model::Backend& b : web_.backends) count += b.effective_weight() > 0 ? 1 : 0;
    return count;
  }

  void change() {
    model::Backend* const b = any_backend();
    switch (pick(10)) {
      case 0:
      case 1: {
        const model::Backend added = backend(endpoint(1 + pick(14)));
        for (const model::Backend& there : web_.backends)
          if (there.endpoint == added.endpoint) return;
        web_.backends.push_back(added);
        break;
      }
      case 2:
        if (!b || active() < 3) return;
        b->admin = Admin::draining;
        b->drain = model::Drain{.started = 1, .deadline = pick(2) * 1800};
        break;
      case 3:
        if (b && b->admin == Admin::draining) {
          b->admin = Admin::active;
          b->drain.reset();
        }
        break;
      case 4:
        if (!b || active() < 3) return;
        b->weight = pick(3) == 0 ? 0 : 20 + pick(300);
        break;
      case 5:
      case 6:
        if (b) remove(*b);
        return;
      case 7:
        if (!b || active() < 3) return;
        forget(b->endpoint.address);
        b->drain.reset();
        b->admin = b->admin == Admin::maint ? Admin::active : Admin::maint;
        break;
      case 8:
        bed_.restart();
        return;
      case 9:
        if (pick(8) != 0) return;
        resize();
        return;
    }
    bed_.replace({web_});
  }

  void remove(const model::Backend& b) {
    if (b.effective_weight() > 0 && active() < 3) return;
    const Ip address = b.endpoint.address;
    const bool dead = b.admin == Admin::maint;
    const u32 how = pick(3);
    web_.on_remove = std::array{model::OnRemove::keep, model::OnRemove::rehash, model::OnRemove::reset}[how];
    std::erase_if(web_.backends, [&](const model::Backend& x) { return x.endpoint.address == address; });
    bed_.replace({web_});
    if (how == 1) forget(address);
    if (how == 2 && !dead)
      for (auto f = flows_.begin(); f != flows_.end();) {
        if (!(f->second && *f->second == address)) {
          ++f;
          continue;
        }
        bed_.send(client(f->first), ack);
        unended += bed_.verdict == Verdict::answered_reset ? 0 : 1;
        f = flows_.erase(f);
      }
  }

  void resize() {
    model::Service other = web_;
    other.rows = pick(2) == 0 ? web_.rows * 2 : web_.rows / 2;
    if (other.rows < 256 || other.rows > 2048) return;
    if (!bed_.publisher().foresee(bed_.plan({other})).front().losing.empty()) return;
    web_ = other;
    bed_.replace({web_});
  }

  /// Flows of a backend that has died pick anew with their next packet.
  void forget(const Ip& address) {
    for (auto& [number, where] : flows_)
      if (where && *where == address) where.reset();
  }

  void traffic() {
    for (u32 i = 0; i < 15; ++i) begin(next_++);
    for (auto f = flows_.begin(); f != flows_.end();) {
      if (pick(40) == 0) {
        bed_.send(client(f->first), pick(2) == 0 ? rst : fin);
        f = flows_.erase(f);
        continue;
      }
      if (pick(2) == 0) follow(f->first, f->second);
      ++f;
    }
    const table::RowTotals totals = bed_.publisher().row_totals();
    settled_once += totals.moving + totals.pinned == 0 ? 1 : 0;
  }

  void begin(u32 number) {
    const u32 id = bed_.send(client(number), syn);
    ++packets;
    if (id == 0) return;
    bool takes = false;
    for (const model::Backend& b : web_.backends) takes |= b.endpoint.address == at(id) && b.effective_weight() > 0;
    misplaced += takes ? 0 : 1;
    flows_[number] = at(id);
    follow(number, flows_[number]);
  }

  void follow(u32 number, std::optional<Ip>& where) {
    const u32 id = bed_.send(client(number), ack);
    ++packets;
    if (id == 0) {
      broken += where ? 1 : 0;
      return;
    }
    if (where && !(*where == at(id))) ++broken;
    where = at(id);
  }

  std::mt19937 random_;
  FlowBed bed_;
  model::Service web_ = keeping(5);
  std::map<u32, std::optional<Ip>> flows_;  // by number: where it is; nowhere when it may pick anew
  u32 next_ = 0;
};

}  // namespace

TEST_CASE("no flow changes its backend through random operations, but those that an operation ends") {
  u32 packets = 0, settled = 0;
  for (u32 seed = 1; seed <= 12; ++seed) {
    Churn churn(seed);
    churn.run(150);
    INFO("seed " << seed);
    CHECK(churn.broken == 0);
    CHECK(churn.misplaced == 0);
    CHECK(churn.unended == 0);
    packets += churn.packets;
    settled += churn.settled_once;
  }
  CHECK(packets > 100'000);
}

TEST_CASE("without the rows' memory the same operations break flows") {
  ::setenv("WEIR_TEST_STATELESS", "1", 1);
  Churn churn(1);
  churn.run(150);
  ::unsetenv("WEIR_TEST_STATELESS");
  CHECK(churn.broken > 100);
}

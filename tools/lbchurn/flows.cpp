// SPDX-License-Identifier: Apache-2.0
#include "tools/lbchurn/flows.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <queue>
#include <random>

#include "control/table/race.hpp"
#include "tools/lbchurn/scheme.hpp"

namespace weir::lbchurn {
namespace {

constexpr u32 schemes = 3;

/// A client's connection, while it lasts.
struct Flow {
  u32 client;
  u16 port;
  double end;
  std::array<u32, schemes> backend;  // that its SYN went to; `nobody` once the flow is broken
};

/// What happens next, in order of time.
struct Event {
  enum class What : u8 { packet, arrival, change, sweep };
  double time;
  What what;
  bool opening;  // the packet after the SYN, which completes the handshake
  u32 flow;
  friend bool operator>(const Event& a, const Event& b) { return a.time > b.time; }
};

class Churn {
 public:
  explicit Churn(const FlowStudy& wanted) : wanted_(wanted), random_(wanted.seed), weights_(1 + 2 * wanted.backends) {
    for (u32 i = 0; i < schemes; ++i)
      schemes_[i] = std::make_unique<Scheme>(Keeping{i}, wanted, static_cast<u32>(weights_.size()) - 1);
    std::fill_n(weights_.begin() + 1, wanted.backends, model::default_weight);
    publish(0);
  }

  FlowReport run() {
    later({0, Event::What::arrival, false, 0});
    later({wanted_.sweep, Event::What::sweep, false, 0});
    if (wanted_.change > 0) later({wanted_.change, Event::What::change, false, 0});
    while (queue_.top().time < wanted_.duration) {
      const Event event = queue_.top();
      queue_.pop();
      switch (event.what) {
        case Event::What::packet:
          go_on(event);
          break;
        case Event::What::arrival:
          begin(event.time);
          later({event.time + exponential(1 / wanted_.rate), Event::What::arrival, false, 0});
          break;
        case Event::What::change:
          change(event.time);
          later({event.time + wanted_.change, Event::What::change, false, 0});
          break;
        case Event::What::sweep:
          for (const auto& scheme : schemes_) scheme->sweep(event.time, event.time * 2 >= wanted_.duration);
          later({event.time + wanted_.sweep, Event::What::sweep, false, 0});
          break;
      }
    }
    if (report_.changes > 0) report_.rows_changed /= static_cast<double>(report_.changes) * wanted_.rows;
    for (u32 i = 0; i < schemes; ++i) {
      report_.schemes.push_back(schemes_[i]->figures());
      report_.schemes.back().broken = broken_[i];
    }
    return report_;
  }

 private:
  void later(const Event& event) { queue_.push(event); }
  double uniform() { return std::uniform_real_distribution<>(0, 1)(random_); }
  double exponential(double mean) { return std::exponential_distribution<>(1 / mean)(random_); }
  u32 one_of(const std::vector<u32>& ids) {
    return ids[std::uniform_int_distribution<std::size_t>(0, ids.size() - 1)(random_)];
  }

  void send(Flow& flow, u8 flags, double now) {
    ++report_.packets;
    for (u32 i = 0; i < schemes; ++i) {
      u32& backend = flow.backend[i];
      const bool opens = flags == query_syn;
      if (backend == nobody && !opens) continue;
      const u32 got = schemes_[i]->forward({flow.client, flow.port, flags}, now);
      if (opens) {
        backend = got;
      } else if (got != backend) {
        ++broken_[i];
        backend = nobody;
      }
    }
  }

  void begin(double now) {
    const u64 number = report_.flows++;
    u32 index = static_cast<u32>(flows_.size());
    if (free_.empty()) {
      flows_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    const double lifetime = wanted_.shortest * std::pow(1 - uniform(), -1 / wanted_.tail);
    flows_[index] = {0x0a00'0000 + static_cast<u32>(number & 0xff'ffff),
                     static_cast<u16>(1024 + (number >> 24)),
                     now + std::min(lifetime, wanted_.longest),
                     {}};
    send(flows_[index], query_syn, now);
    later({now + 0.03, Event::What::packet, true, index});
  }

  void go_on(const Event& event) {
    Flow& flow = flows_[event.flow];
    if (!event.opening && event.time >= flow.end) {
      send(flow, query_ack | query_fin, event.time);
      free_.push_back(event.flow);
      return;
    }
    send(flow, query_ack, event.time);
    const double next = event.time + std::min(exponential(wanted_.pause), wanted_.silence);
    later({std::min(next, std::max(flow.end, event.time)), Event::What::packet, false, event.flow});
  }

  /// One backend comes, drains or gets another weight. About as many as at the start take flows, give or take a tenth;
  /// as many wait, so that what one change has moved is seldom moved back by the next.
  void change(double now) {
    std::vector<u32> taking;
    std::vector<u32> waiting;
    for (u32 id = 1; id < weights_.size(); ++id) (weights_[id] != 0 ? taking : waiting).push_back(id);
    const std::size_t margin = wanted_.backends / 10 + 1;
    const double kind = uniform();
    if (kind < 1.0 / 3 && taking.size() < wanted_.backends + margin) {
      weights_[one_of(waiting)] = model::default_weight;
    } else if (kind >= 2.0 / 3 && taking.size() + margin > wanted_.backends && taking.size() > 1) {
      weights_[one_of(taking)] = 0;
    } else {
      weights_[one_of(taking)] = model::default_weight / 2 + static_cast<u32>(uniform() * model::default_weight);
    }
    ++report_.changes;
    report_.rows_changed += publish(now);
  }

  /// The number of rows that get another owner.
  double publish(double now) {
    std::vector<table::Member> members;
    for (u32 id = 1; id < weights_.size(); ++id)
      members.push_back({{ip_from_v4(to_be(u32{0xc633'6400} + id)), 80}, weights_[id], id});
    const std::vector<u32> former = std::move(table_);
    table_ = table::build({}, Protocol::tcp, {ip_from_v4(to_be(u32{0xcb00'710a})), 80}, members, wanted_.rows);
    for (const auto& scheme : schemes_) scheme->change(table_, weights_, now);
    double changed = 0;
    for (std::size_t row = 0; row < former.size(); ++row) changed += former[row] != table_[row];
    return changed;
  }

  const FlowStudy& wanted_;
  std::mt19937_64 random_;
  std::vector<u32> weights_;  // by backend id
  std::vector<u32> table_;
  std::array<std::unique_ptr<Scheme>, schemes> schemes_;
  std::array<u64, schemes> broken_{};
  std::vector<Flow> flows_;
  std::vector<u32> free_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue_;
  FlowReport report_;
};

Result<> check(const FlowStudy& s) {
  const auto positive = [](const char* option, double value) -> Result<> {
    if (value > 0) return {};
    return fail(Fault::invalid, "{} {}: give more than 0", option, value);
  };
  if (s.backends < 2 || s.backends > 1000) return fail(Fault::invalid, "--backends {}: give 2 to 1000", s.backends);
  if (!std::has_single_bit(s.rows) || s.rows < 256 || s.rows > 1U << 20)
    return fail(Fault::invalid, "--rows {}: a table has 2^8 to 2^20 rows, a power of two", s.rows);
  for (const auto& [option, value] : {std::pair("--rate", s.rate),
                                      {"--duration", s.duration},
                                      {"--tail", s.tail},
                                      {"--shortest", s.shortest},
                                      {"--pause", s.pause},
                                      {"--silence", s.silence},
                                      {"--sweep", s.sweep},
                                      {"--entries", double(s.entries)},
                                      {"--embryos", double(s.embryos)}})
    if (auto good = positive(option, value); !good) return good;
  if (s.rate * s.duration > 1e9) return fail(Fault::invalid, "--rate x --duration: more than 10^9 flows; give less");
  return {};
}

}  // namespace

Result<FlowReport> study(const FlowStudy& wanted) {
  if (auto good = check(wanted); !good) return tl::unexpected(good.error());
  return Churn(wanted).run();
}

}  // namespace weir::lbchurn

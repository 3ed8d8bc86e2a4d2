// SPDX-License-Identifier: Apache-2.0
// Asks lbd the same question until the answer is the one that is waited for, and bears it when lbd is away meanwhile.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tools/lbctl/client.hpp"
#include "tools/lbctl/progress.hpp"

namespace weir::lbctl {

class Waiting {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::time_point never = Clock::time_point::max();

  Waiting(const Client& lbd, std::string target) : lbd_(lbd), target_(std::move(target)) {}
  virtual ~Waiting() = default;
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// Asks until look() or gone() is satisfied or the limit has come; that is exceeded by a quarter of a second at most.
  /// An lbd that is away or does not answer is asked again until then, without a limit for as long as one question
  /// may take (Client::timeout()); but one that has never been there is a failure at once.
  [[nodiscard]] Outcome<std::string> run();
  /// lbd has answered elsewhere.
  void lbd_is_there() { heard_ = Clock::now(); }

 protected:
  using End = std::optional<Outcome<std::string>>;

  /// What lbd's answer means; nothing: go on asking.
  virtual End look(const nlohmann::json& answer) = 0;
  /// What it means that lbd knows nothing of the kind.
  virtual Outcome<std::string> gone(const Failure& not_found) = 0;
  [[nodiscard]] virtual Failure too_late() const = 0;

  /// Whether lbd has ever known of what is asked for.
  [[nodiscard]] bool is_known() const { return heard_.has_value(); }
  void limit(Clock::time_point limit) { limit_ = limit; }
  /// ", when lbd last answered, 12 s ago" if that is worth telling.
  [[nodiscard]] std::string hearsay() const;
  /// As Progress::show().
  void show(const std::string& key, const std::string& line) { progress_.show(key, line); }

 private:
  [[nodiscard]] Outcome<std::string> ask();
  [[nodiscard]] Client hurried() const;
  bool bears(const Failure& failure);

  const Client& lbd_;
  std::string target_;
  Progress progress_;
  Clock::time_point limit_ = never;
  Clock::time_point began_ = Clock::now();
  std::optional<Clock::time_point> heard_;  // when lbd last answered
  bool away_ = false;                       // and it has been said
};

}  // namespace weir::lbctl

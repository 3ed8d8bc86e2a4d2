// SPDX-License-Identifier: Apache-2.0
// What lbsim prints: per frame its fate, at the end the counters; as text or as JSON, one document per line.
#pragma once

#include "tools/lbsim/simulation.hpp"

namespace weir::lbsim {

/// One frame that went through the engine.
struct Passage {
  u64 number = 0;  ///< from 1
  const Interface& ingress;
  const Fate& fate;
  const Totals& before;  ///< the counters that it found
};

class Report {
 public:
  Report(Simulation& simulation, bool json) : simulation_(simulation), json_(json) {}
  [[nodiscard]] std::string passage(const Passage& passage) const;
  [[nodiscard]] std::string totals() const;

 private:
  [[nodiscard]] std::string ended_text(const EndedFlow& flow) const;
  Simulation& simulation_;
  bool json_;
};

}  // namespace weir::lbsim

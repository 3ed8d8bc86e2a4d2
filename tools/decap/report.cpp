// SPDX-License-Identifier: Apache-2.0
#include "tools/decap/report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/decap/settings.hpp"
#include "tools/lbctl/table.hpp"

namespace weir::decap {
namespace {

using lbctl::Align;
using lbctl::Table;

const char* mode_of(const bpf::DecapState& state) {
  if (state.ifindex == 0) return "gone";
  return state.mode == bpf::AttachMode::native ? "native" : "generic";
}

const char* action_text(bpf::DecapAction action) {
  switch (action) {
    case bpf::DecapAction::pass:
      return "pass";
    case bpf::DecapAction::drop:
      return "drop";
    case bpf::DecapAction::unwrap:
      return "unwrap";
  }
  return "unknown";
}

template <class T>
std::vector<std::string> texts(const std::vector<T>& values) {
  std::vector<std::string> out;
  for (const T& value : values) out.push_back(to_text(value));
  std::sort(out.begin(), out.end());
  return out;
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ",")); }

}  // namespace

std::string as_text(const std::vector<bpf::DecapState>& states) {
  if (states.empty()) return "no interface has the decapsulation program; lb-decap attach INTERFACE --from PREFIX\n";
  Table interfaces({{"INTERFACE"}, {"ATTACHED"}, {"GUE-PORT", Align::right}, {"TO"}, {"FROM"}});
  for (const auto& state : states)
    interfaces.add({state.interface, mode_of(state), fmt::format("{}", state.settings.gue_port),
                    joined(texts(state.settings.own)), joined(texts(state.settings.sources))});
  Table verdicts({{"INTERFACE"},
                  {"VERDICT"},
                  {"ACTION"},
                  {"EXPECTED"},
                  {"PACKETS", Align::right},
                  {"BYTES", Align::right},
                  {"MEANING"}});
  for (const auto& state : states)
    for (u32 i = 0; i < bpf::decap_verdict_count; ++i) {
      const auto& row = bpf::decap_verdict_table[i];
      verdicts.add({state.interface, row.name, action_text(row.action), row.expected ? "yes" : "no",
                    fmt::format("{}", state.totals[i].packets), fmt::format("{}", state.totals[i].bytes), row.meaning});
    }
  return interfaces.text() + "\n" + verdicts.text();
}

std::string as_json(const std::vector<bpf::DecapState>& states) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& state : states) {
    nlohmann::ordered_json one{{"interface", state.interface},
                               {"attached", mode_of(state)},
                               {"gue_port", state.settings.gue_port},
                               {"to", texts(state.settings.own)},
                               {"from", texts(state.settings.sources)}};
    for (u32 i = 0; i < bpf::decap_verdict_count; ++i) {
      const auto& row = bpf::decap_verdict_table[i];
      one["verdicts"][row.name] = {{"action", action_text(row.action)},
                                   {"expected", row.expected},
                                   {"packets", state.totals[i].packets},
                                   {"bytes", state.totals[i].bytes}};
    }
    list.push_back(std::move(one));
  }
  return nlohmann::ordered_json{{"interfaces", list}}.dump(2) + "\n";
}

}  // namespace weir::decap

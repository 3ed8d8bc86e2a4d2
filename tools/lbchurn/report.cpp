// SPDX-License-Identifier: Apache-2.0
#include "tools/lbchurn/report.hpp"

#include <nlohmann/json.hpp>

namespace weir::lbchurn {
namespace {

double share(u64 part, u64 whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

std::string text_of(const TableStudy& wanted, const std::vector<TableFigures>& found) {
  std::string text = fmt::format(
      "seed {}, {} trials; rows moved are in units of the fewest that could move\n"
      "{:>7} {:>7}  {:<12}{:>9}{:>10}{:>10}{:>10}{:>12}\n",
      wanted.seed, wanted.trials, "members", "rows", "algorithm", "max/avg", "removing", "adding", "halving",
      "build ms");
  for (const TableFigures& f : found)
    text += fmt::format("{:>7} {:>7}  {:<12}{:>9.4f}{:>10.3f}{:>10.3f}{:>10.3f}{:>12.2f}\n", f.members, f.rows,
                        f.algorithm, f.load, f.moved.removing, f.moved.adding, f.moved.reweighting, f.build);
  return text;
}

std::string json_of(const TableStudy& wanted, const std::vector<TableFigures>& found) {
  nlohmann::ordered_json tables = nlohmann::ordered_json::array();
  for (const TableFigures& f : found)
    tables.push_back({{"algorithm", f.algorithm},
                      {"members", f.members},
                      {"rows", f.rows},
                      {"max_over_average", f.load},
                      {"moved_by_removing", f.moved.removing},
                      {"moved_by_adding", f.moved.adding},
                      {"moved_by_halving", f.moved.reweighting},
                      {"build_milliseconds", f.build}});
  const nlohmann::ordered_json document{{"seed", wanted.seed}, {"trials", wanted.trials}, {"tables", tables}};
  return document.dump(2) + "\n";
}

std::string text_of(const FlowStudy& wanted, const FlowReport& found) {
  std::string text = fmt::format(
      "seed {}, {} backends, {} flows, {} packets, {} changes of {:.2f} % of the rows each\n"
      "{:<15}{:>10}{:>11}{:>14}{:>10}{:>10}{:>10}\n",
      wanted.seed, wanted.backends, found.flows, found.packets, found.changes, 100 * found.rows_changed, "scheme",
      "broken", "of flows", "looked up", "entries", "at most", "evicted");
  for (const FlowFigures& f : found.schemes)
    text += fmt::format("{:<15}{:>10}{:>9.3f} %{:>12.1f} %{:>10}{:>10}{:>10}\n", f.scheme, f.broken,
                        100 * share(f.broken, found.flows), 100 * share(f.looked_up, found.packets), f.entries_mean,
                        f.entries_most, f.evicted);
  return text;
}

std::string json_of(const FlowStudy& wanted, const FlowReport& found) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const FlowFigures& f : found.schemes)
    all.push_back({{"scheme", f.scheme},
                   {"broken", f.broken},
                   {"lookups", f.looked_up},
                   {"entries_mean", f.entries_mean},
                   {"entries_max", f.entries_most},
                   {"evicted", f.evicted}});
  const nlohmann::ordered_json document{{"seed", wanted.seed},
                                        {"backends", wanted.backends},
                                        {"settle_seconds", wanted.settle},
                                        {"flows", found.flows},
                                        {"packets", found.packets},
                                        {"changes", found.changes},
                                        {"rows_changed", found.rows_changed},
                                        {"schemes", all}};
  return document.dump(2) + "\n";
}

}  // namespace weir::lbchurn

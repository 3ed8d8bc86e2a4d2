// SPDX-License-Identifier: Apache-2.0
#include "control/model/describe.hpp"

#include <string_view>
#include <unordered_map>

#include "control/model/text.hpp"

namespace weir::model {
namespace {

/// "label old -> new", appended to what else changed in the same object.
void note(std::string& line, std::string_view label, const std::string& before, const std::string& after) {
  if (before == after) return;
  line += fmt::format("{}{}{} -> {}", line.empty() ? " " : ", ", label, before, after);
}

/// "draining (deadline 10m, then remove)": the admin state, and of a drain's terms those that are not the defaults.
std::string admin_text(const Backend& backend) {
  std::string terms;
  if (backend.drain) {
    [[maybe_unused]] const auto& [started, deadline, then_remove, force_after, watch] = *backend.drain;
    const auto add = [&terms](const std::string& term) { terms += (terms.empty() ? " (" : ", ") + term; };
    if (deadline != 0) add("deadline " + duration_text(deadline));
    if (force_after) add("force after");
    if (then_remove) add("then remove");
    if (watch != default_watch) add("watch " + duration_text(watch));
    if (!terms.empty()) terms += ')';
  }
  return to_text(backend.admin) + terms;
}

// The structured bindings below stop compiling when a field is added, so that no difference goes unseen: a change
// without a line is no change.

std::string difference(const Service& before, const Service& after) {
  [[maybe_unused]] const auto& [name, vip, protocol, mode, hash, rows, mss, track, on_remove, settle, idle,
                                idle_closing, backends] = before;
  std::string line;
  note(line, "vip ", vip_text(before), vip_text(after));
  note(line, "mode ", to_text(mode), to_text(after.mode));
  note(line, "hash ", to_text(hash), to_text(after.hash));
  note(line, "rows ", fmt::to_string(rows), fmt::to_string(after.rows));
  note(line, "mss ", fmt::to_string(mss), fmt::to_string(after.mss));
  note(line, "track ", to_text(track), to_text(after.track));
  note(line, "on-remove ", to_text(on_remove), to_text(after.on_remove));
  note(line, "settle ", duration_text(settle), duration_text(after.settle));
  note(line, "idle ", duration_text(idle), duration_text(after.idle));
  note(line, "idle-closing ", duration_text(idle_closing), duration_text(after.idle_closing));
  return line;
}

std::string difference(const Backend& before, const Backend& after) {
  if (before == after) return "";
  [[maybe_unused]] const auto& [name, endpoint, weight, admin, drain] = before;
  std::string line;
  note(line, "address ", to_text(endpoint), to_text(after.endpoint));
  note(line, "weight ", fmt::to_string(weight), fmt::to_string(after.weight));
  note(line, "", admin_text(before), admin_text(after));  // "active -> draining" says what it is
  if (drain && after.drain && drain->same_terms(*after.drain))
    note(line, "drain started ", fmt::to_string(drain->started), fmt::to_string(after.drain->started));
  return line;
}

std::vector<std::string> all(const Service& service, std::string_view what) {
  std::vector<std::string> lines{fmt::format("{} {}", service.name, what)};
  for (const Backend& backend : service.backends)
    lines.push_back(fmt::format("{}/{} {}", service.name, backend.name, what));
  return lines;
}

}  // namespace

std::vector<std::string> describe(const Step& step) {
  if (!step.before && !step.after) return {};
  if (!step.before) return all(*step.after, "added");
  if (!step.after) return all(*step.before, "removed");

  std::vector<std::string> lines;
  if (std::string line = difference(*step.before, *step.after); !line.empty()) lines.push_back(step.name + line);
  std::unordered_map<std::string_view, const Backend*> gone;
  for (const Backend& backend : step.before->backends) gone.emplace(backend.name, &backend);
  for (const Backend& backend : step.after->backends) {
    const auto old = gone.find(backend.name);
    if (old == gone.end()) {
      lines.push_back(fmt::format("{}/{} added", step.name, backend.name));
      continue;
    }
    if (std::string line = difference(*old->second, backend); !line.empty())
      lines.push_back(fmt::format("{}/{}{}", step.name, backend.name, line));
    gone.erase(old);
  }
  for (const Backend& backend : step.before->backends)
    if (gone.contains(backend.name)) lines.push_back(fmt::format("{}/{} removed", step.name, backend.name));
  return lines;
}

}  // namespace weir::model

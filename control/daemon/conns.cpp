// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/conns.hpp"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "control/daemon/names.hpp"
#include "control/daemon/report.hpp"
#include "control/flows/list.hpp"
#include "control/model/text.hpp"

namespace weir::daemon {
namespace {

constexpr u32 buckets_at_once = 64;
constexpr u32 buckets_per_piece = 8192;         // 1 MiB of the flow table
constexpr std::size_t enough_text = 16 * 1024;  // bytes; what 64 buckets add is three times as much
constexpr u32 every_bucket = 0xffff'ffff;

Result<flows::Filter> resolve(const api::ConnFilter& asked, const model::Pool& pool, FastPath& fast_path) {
  flows::Filter filter;
  filter.protocol = asked.protocol;
  filter.source = asked.source;
  filter.source_port = asked.source_port;
  if (asked.destination) {
    filter.destination = asked.destination->address;
    if (asked.destination->port != 0) filter.destination_port = asked.destination->port;
  }
  if (asked.service.empty()) return filter;
  const auto service = pool.find(asked.service);
  const table::Placed* placed = fast_path.publisher().placed(asked.service);
  if (!service || !placed)
    return fail(Fault::not_found, "there is no service \"{}\"; `lbctl service list` shows those there are",
                asked.service);
  filter.service = placed->id;
  if (asked.backend.empty()) return filter;
  const model::Backend* backend = service->find(asked.backend);
  if (!backend)
    return fail(Fault::not_found, "service \"{}\" has no backend \"{}\"; `lbctl backend list {}` shows those it has",
                asked.service, asked.backend, asked.service);
  filter.backend = backend_id(*placed, *backend);
  return filter;
}

double seconds_of(u32 ticks) {
  constexpr double tick = static_cast<double>(u64{1} << tick_shift) / 1e9;
  return ticks * tick;
}

void append_line(std::string& out, const flows::Conn& conn, const Names& names) {
  fmt::format_to(std::back_inserter(out),
                 "{{\"service\":\"{}\",\"backend\":\"{}\",\"protocol\":\"{}\",\"source\":\"{}\",\"destination\":\"{}\","
                 "\"state\":\"{}\",\"idle_seconds\":{:.1f},\"row\":{}}}\n",
                 names.service(conn.service), names.backend(conn.backend), model::to_text(conn.protocol),
                 model::to_text(model::Endpoint{conn.source, conn.source_port}),
                 model::to_text(model::Endpoint{conn.destination, conn.destination_port}), flows::to_text(conn.state),
                 seconds_of(conn.idle), conn.row);
}

/// One listing: where the walk stands, and what it calls what it meets.
struct Listing {
  flows::Walk walk;
  Names names;
  bool more = true;

  std::optional<std::string> piece() {
    if (!more) return std::nullopt;
    std::string out;
    for (u32 looked = 0; more && looked < buckets_per_piece && out.size() < enough_text; looked += buckets_at_once)
      more =
          walk.step(buckets_at_once, present_tick(), [&](const flows::Conn& conn) { append_line(out, conn, names); });
    return out;
  }
};

}  // namespace

Result<api::Pieces> list_conns(const api::ConnFilter& filter, const model::Pool& pool, FastPath& fast_path) {
  const auto meant = resolve(filter, pool, fast_path);
  if (!meant) return tl::unexpected(meant.error());
  const auto listing =
      std::make_shared<Listing>(Listing{{fast_path.flows(), fast_path.memory(), *meant}, Names(pool, fast_path)});
  return api::Pieces([listing] { return listing->piece(); });
}

Result<nlohmann::json> count_conns(const api::ConnFilter& filter, const model::Pool& pool, FastPath& fast_path) {
  const auto meant = resolve(filter, pool, fast_path);
  if (!meant) return tl::unexpected(meant.error());
  std::map<std::pair<u32, u32>, u64> found;  // by service and backend
  flows::Walk(fast_path.flows(), fast_path.memory(), *meant)
      .step(every_bucket, present_tick(), [&](const flows::Conn& c) {
        ++found[{c.service, c.backend}];
      });
  const Names names(pool, fast_path);
  u64 count = 0;
  nlohmann::json by_backend = nlohmann::json::object();
  for (const auto& [ids, flows] : found) {
    count += flows;
    by_backend[names.service(ids.first) + "/" + names.backend(ids.second)] = flows;
  }
  return nlohmann::json{{"count", count}, {"by_backend", std::move(by_backend)}};
}

Result<nlohmann::json> kill_conns(const api::ConnFilter& filter, const model::Pool& pool, FastPath& fast_path) {
  const auto meant = resolve(filter, pool, fast_path);
  if (!meant) return tl::unexpected(meant.error());
  return nlohmann::json{{"killed", flows::kill(fast_path.flows(), fast_path.memory(), *meant, present_tick())}};
}

u64 kill_backend(u32 service, u32 backend, FastPath& fast_path) {
  flows::Filter filter;
  filter.service = service;
  filter.backend = backend;
  return flows::kill(fast_path.flows(), fast_path.memory(), filter, present_tick());
}

}  // namespace weir::daemon

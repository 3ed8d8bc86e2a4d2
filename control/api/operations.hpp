// SPDX-License-Identifier: Apache-2.0
// What the API can ask of the daemon. The HTTP server knows this interface and nothing behind it.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "control/model/pool.hpp"
#include "control/model/result.hpp"

namespace weir::api {

/// A mutation as it came from the client.
struct Request {
  model::Mutation mutation;
  bool force = false;    ///< override safety rules (last backend, unreachable backend, empty replace)
  bool dry_run = false;  ///< check, describe and say the effects, change nothing
};

/// A packet that `trace` asks about.
struct TraceQuery {
  Protocol protocol = Protocol::tcp;
  model::Endpoint source;
  model::Endpoint destination;
  bool syn = false;
};

/// Which remembered flows are meant: those to which every field that is there applies.
struct ConnFilter {
  std::string service;  ///< "": any
  std::string backend;  ///< "": any; only with `service`
  std::optional<Protocol> protocol;
  std::optional<Ip> source;
  std::optional<u16> source_port;              ///< only with `source`
  std::optional<model::Endpoint> destination;  ///< port 0: any port

  [[nodiscard]] bool empty() const { return service.empty() && !protocol && !source && !destination; }
};

/// Makes a long answer piece by piece: some bytes each call (about 64 KiB at most), "" when a bounded amount of work
/// found nothing to say yet, nothing when the answer is complete. Called on the event loop, and destroyed when the
/// client is gone; what it looks at may have changed between two calls.
using Pieces = std::function<std::optional<std::string>()>;

class Operations {
 public:
  using Done = std::function<void(Result<model::Plan>)>;

  virtual ~Operations() = default;

  /// Plans, checks that new backends can be reached, makes durable, publishes; then calls `done`, once, on the event
  /// loop, possibly before returning. Mutations are carried out one after the other in the order of the calls. The
  /// plan of a dry run has its effects; `lbctl diff` is a dry run of Replace with `force`.
  virtual void mutate(Request request, Done done) = 0;

  /// Parses a configuration file's text into its services, with errors as FILE:LINE:COLUMN. Settings in it that
  /// differ from the running ones are an error (they need a restart).
  virtual Result<model::Replace> parse_config(std::string_view text, const std::string& file_name) = 0;

  // Each returns the JSON document of the API of that name; control/api/README.md documents the shapes.
  virtual nlohmann::json status() = 0;
  virtual nlohmann::json services() = 0;                                ///< array
  virtual Result<nlohmann::json> service(const std::string& name) = 0;  ///< with backends
  virtual Result<nlohmann::json> rows(const std::string& service) = 0;  ///< the forwarding table, row by row
  virtual nlohmann::json stats() = 0;
  virtual Result<nlohmann::json> trace(const TraceQuery& query) = 0;
  virtual std::string metrics() = 0;        ///< Prometheus text exposition format 0.0.4
  virtual std::string export_config() = 0;  ///< TOML that parse_config() takes back

  virtual Result<nlohmann::json> drain_status(const std::string& service, const std::string& backend) = 0;

  // Over the flow table. Faults: not_found (service or backend).
  virtual Result<Pieces> conns(const ConnFilter& filter) = 0;  ///< a JSON object and a newline for each flow
  virtual Result<nlohmann::json> conn_count(const ConnFilter& filter) = 0;
  virtual Result<nlohmann::json> conn_kill(const ConnFilter& filter) = 0;  ///< `filter` is not empty

  /// Removes program, links, maps and pins, then ends the daemon after the answer has been sent.
  virtual Result<> detach() = 0;
};

}  // namespace weir::api

// SPDX-License-Identifier: Apache-2.0
// JSON request bodies to mutations. A field that is unknown, given twice or of the wrong type is an error naming it.
#pragma once

#include <string>
#include <string_view>

#include "control/model/pool.hpp"
#include "control/model/result.hpp"

namespace weir::api {

/// {"vip", "mode"} required; {"hash", "rows", "mss", "track", "on_remove", "settle_seconds", "idle_seconds",
/// "idle_closing_seconds"} optional.
[[nodiscard]] Result<model::AddService> parse_add_service(const std::string& name, std::string_view body);
/// At least one of those that are optional above.
[[nodiscard]] Result<model::SetService> parse_set_service(const std::string& name, std::string_view body);
/// {"address"} required, {"weight", "admin", "drain"} optional; `name` "-" leaves the name to the model.
[[nodiscard]] Result<model::AddBackend> parse_add_backend(const std::string& service, const std::string& name,
                                                          std::string_view body);
/// At least one of {"weight", "admin", "drain"}; "drain" is an object with any of {"deadline_seconds", "then",
/// "force_after", "watch_seconds"}.
[[nodiscard]] Result<model::SetBackend> parse_set_backend(const std::string& service, const std::string& name,
                                                          std::string_view body);

}  // namespace weir::api

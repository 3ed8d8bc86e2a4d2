// SPDX-License-Identifier: Apache-2.0
// JSON request bodies to mutations. A field that is unknown, given twice or of the wrong type is an error naming it.
#pragma once

#include <string>
#include <string_view>

#include "control/model/pool.hpp"
#include "control/model/result.hpp"

namespace weir::api {

/// {"vip", "mode"} required, {"hash", "rows", "mss"} optional.
[[nodiscard]] Result<model::AddService> parse_add_service(const std::string& name, std::string_view body);
/// At least one of {"hash", "rows", "mss"}.
[[nodiscard]] Result<model::SetService> parse_set_service(const std::string& name, std::string_view body);
/// {"address"} required, {"weight", "admin"} optional; `name` "-" leaves the name to the model.
[[nodiscard]] Result<model::AddBackend> parse_add_backend(const std::string& service, const std::string& name,
                                                          std::string_view body);
/// At least one of {"weight", "admin"}.
[[nodiscard]] Result<model::SetBackend> parse_set_backend(const std::string& service, const std::string& name,
                                                          std::string_view body);

}  // namespace weir::api

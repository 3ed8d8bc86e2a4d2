// SPDX-License-Identifier: Apache-2.0
// One service as it stands in the state file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/model/result.hpp"
#include "control/model/service.hpp"

namespace weir::store {

/// One line of JSON without the service's name, which is its key in the file.
[[nodiscard]] std::string service_json(const model::Service& service);

/// The inverse. Faults: invalid, naming the field.
[[nodiscard]] Result<model::Service> service_from(const std::string& name, const nlohmann::json& json);

}  // namespace weir::store

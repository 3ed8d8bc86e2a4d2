// SPDX-License-Identifier: Apache-2.0
// What is sent back for one request, before it becomes HTTP.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "control/api/operations.hpp"
#include "control/model/pool.hpp"
#include "control/model/result.hpp"

namespace weir::api {

struct Answer {
  unsigned status = 200;  ///< HTTP status code
  std::string type = "application/json";
  std::string body;   ///< empty where there are `pieces`
  std::string allow;  ///< methods for the Allow header of a 405, else empty
  Pieces pieces;      ///< makes the body while it is being sent
};

[[nodiscard]] unsigned http_status(Fault fault);
[[nodiscard]] const char* fault_name(Fault fault);  ///< "not_found"

/// `error` with the name of the field or parameter in front, unless its message begins with it.
[[nodiscard]] Error about(std::string_view field, Error error);

/// Bytes in `document` that are not UTF-8 come out as U+FFFD, so an operator's odd input cannot make this fail.
[[nodiscard]] Answer json_answer(const nlohmann::json& document);
[[nodiscard]] Answer error_answer(const Error& error);
/// For failures of HTTP itself, whose status says more than the fault does.
[[nodiscard]] Answer error_answer(unsigned status, const Error& error);
[[nodiscard]] Answer plan_answer(const Result<model::Plan>& plan);
[[nodiscard]] Answer pieces_answer(std::string type, Result<Pieces> pieces);
[[nodiscard]] Answer document_answer(const Result<nlohmann::json>& document);

}  // namespace weir::api

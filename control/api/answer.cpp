// SPDX-License-Identifier: Apache-2.0
#include "control/api/answer.hpp"

namespace weir::api {

unsigned http_status(Fault fault) {
  switch (fault) {
    case Fault::invalid:
      return 400;
    case Fault::not_found:
      return 404;
    case Fault::conflict:
      return 409;
    case Fault::refused:
      return 412;
    case Fault::internal:
      break;
  }
  return 500;
}

const char* fault_name(Fault fault) {
  switch (fault) {
    case Fault::invalid:
      return "invalid";
    case Fault::not_found:
      return "not_found";
    case Fault::conflict:
      return "conflict";
    case Fault::refused:
      return "refused";
    case Fault::internal:
      break;
  }
  return "internal";
}

Error about(std::string_view field, Error error) {
  if (!error.message.starts_with(field)) error.message = fmt::format("{}: {}", field, error.message);
  return error;
}

Answer json_answer(const nlohmann::json& document) {
  Answer answer;
  answer.body = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  answer.body += '\n';
  return answer;
}

Answer error_answer(unsigned status, const Error& error) {
  Answer answer = json_answer({{"error", {{"fault", fault_name(error.fault)}, {"message", error.message}}}});
  answer.status = status;
  return answer;
}

Answer error_answer(const Error& error) { return error_answer(http_status(error.fault), error); }

Answer plan_answer(const Result<model::Plan>& plan) {
  if (!plan) return error_answer(plan.error());
  nlohmann::json effects = nlohmann::json::array();
  for (const model::Effect& e : plan->effects)
    effects.push_back({{"service", e.service},
                       {"rows", e.rows},
                       {"rows_moved", e.rows_moved},
                       {"share", e.share()},
                       {"flows_known", e.flows_known},
                       {"flows_affected", e.flows_affected},
                       {"complete", e.complete}});
  return json_answer({{"changed", !plan->steps.empty()}, {"lines", plan->lines}, {"effects", std::move(effects)}});
}

Answer pieces_answer(std::string type, Result<Pieces> pieces) {
  if (!pieces) return error_answer(pieces.error());
  Answer answer;
  answer.type = std::move(type);
  answer.pieces = std::move(*pieces);
  return answer;
}

Answer document_answer(const Result<nlohmann::json>& document) {
  return document ? json_answer(*document) : error_answer(document.error());
}

}  // namespace weir::api

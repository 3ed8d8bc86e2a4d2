// SPDX-License-Identifier: Apache-2.0
#include "tools/lbctl/client.hpp"

#include "tools/lbctl/effects.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

// What an answer other than 200 says; lbd's error document, or what can be made of anything else.
Failure refusal(const HttpAnswer& answer, const std::string& socket) {
  const json document = json::parse(answer.body, nullptr, false);
  if (document.is_object() && document.contains("error") && document["error"].is_object()) {
    const json& error = document["error"];
    if (error.contains("message") && error["message"].is_string())
      return {error.value("fault", json()) == "refused" ? Exit::refused : Exit::failed,
              error["message"].get<std::string>(), "", answer.status};
  }
  return {Exit::failed, fmt::format("unexpected answer from {}: HTTP {}", socket, answer.status), "", answer.status};
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  static constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
  std::string out;
  for (const auto& [name, value] : parameters)
    if (!value.empty()) out += fmt::format("{}{}={}", out.empty() ? '?' : '&', name, percent_encoded(value));
  return out;
}

Outcome<std::string> Client::call(std::string_view method, const std::string& target, const std::string& body) const {
  Outcome<HttpAnswer> answer = exchange(socket_, timeout_, method, target, body);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status != 200) return tl::unexpected(refusal(*answer, socket_));
  return std::move(answer->body);
}

Outcome<json> Client::document(std::string_view method, const std::string& target, const std::string& body) const {
  const Outcome<std::string> answer = call(method, target, body);
  if (!answer) return tl::unexpected(answer.error());
  json document = json::parse(*answer, nullptr, false);
  if (document.is_discarded()) return fail(Exit::failed, "unexpected answer from {}: not JSON", socket_);
  return document;
}

Outcome<json> Client::get(const std::string& target) const { return document("GET", target, ""); }
Outcome<json> Client::post(const std::string& target, const std::string& body) const {
  return document("POST", target, body);
}

Outcome<> Client::stream(const std::string& target, const Sink& sink) const {
  const Outcome<HttpAnswer> answer = exchange(socket_, timeout_, "GET", target, "", sink);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status != 200) return tl::unexpected(refusal(*answer, socket_));
  return {};
}

Outcome<std::string> Client::change(std::string_view method, const std::string& target, const json& body) const {
  return change_text(method, target, body.is_null() ? "" : body.dump(-1, ' ', false, json::error_handler_t::replace));
}

Outcome<std::string> Client::change_text(std::string_view method, const std::string& target,
                                         const std::string& body) const {
  const Outcome<std::string> answer = call(method, target, body);
  if (!answer) return tl::unexpected(answer.error());
  const json document = json::parse(*answer, nullptr, false);
  if (!document.is_object() || !document.contains("lines"))
    return fail(Exit::failed, "unexpected answer from {}: no lines", socket_);
  std::string out;
  for (const json& line : document["lines"]) out += line.get<std::string>() + '\n';
  if (out.empty()) out = "no change\n";
  return out + effects_text(document);
}

}  // namespace weir::lbctl

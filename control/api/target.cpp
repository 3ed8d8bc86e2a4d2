// SPDX-License-Identifier: Apache-2.0
#include "control/api/target.hpp"

#include <charconv>

namespace weir::api {

namespace {

Result<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text.size() - i < 3 || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2)
      return fail(Fault::invalid, "{}: \"%\" at byte {} is not followed by two hexadecimal digits", in_quotes(text), i);
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

template <class Visit>
Result<> split(std::string_view text, char separator, Visit visit) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (Result<> done = visit(text.substr(0, end)); !done) return done;
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 64)) {
    if (c >= ' ' && c <= '~')
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out + (text.size() > 64 ? "...\"" : "\"");
}

const std::string* Target::find(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

Result<bool> Target::flag(std::string_view name) const {
  const std::string* value = find(name);
  if (value == nullptr || *value == "false") return false;
  if (*value == "true") return true;
  return fail(Fault::invalid, "parameter {} is {}; write {}=true or {}=false", name, in_quotes(*value), name, name);
}

Result<Target> parse_target(std::string_view text) {
  if (text.empty() || text[0] != '/')
    return fail(Fault::invalid, "request target {} does not begin with \"/\"", in_quotes(text));
  const std::size_t mark = text.find('?');
  Target target;
  Result<> done =
      split(text.substr(1, mark == std::string_view::npos ? mark : mark - 1), '/', [&](std::string_view part) {
        return percent_decoded(part).map([&](std::string segment) { target.segments.push_back(std::move(segment)); });
      });
  if (!done) return tl::unexpected(done.error());
  if (mark == std::string_view::npos) return target;

  done = split(text.substr(mark + 1), '&', [&](std::string_view pair) -> Result<> {
    if (pair.empty()) return {};
    const std::size_t equals = pair.find('=');
    Result<std::string> name = percent_decoded(pair.substr(0, equals));
    if (!name) return tl::unexpected(name.error());
    if (target.find(*name) != nullptr) return fail(Fault::invalid, "parameter {} is given twice", in_quotes(*name));
    Result<std::string> value = percent_decoded(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    if (!value) return tl::unexpected(value.error());
    target.query.emplace_back(std::move(*name), std::move(*value));
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return target;
}

}  // namespace weir::api

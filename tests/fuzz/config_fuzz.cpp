// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration file: parse() refuses with a place and a reason, or yields what write() gives back.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "control/config/config.hpp"

namespace {

[[noreturn]] void broken(const char* law, const std::string& text) {
  std::fprintf(stderr, "law broken: %s\n%s\n", law, text.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace weir;
  const auto parsed = config::parse({reinterpret_cast<const char*>(data), size}, "x.toml");
  if (!parsed) {
    const std::string& message = parsed.error().message;
    if (message.rfind("x.toml:", 0) != 0) broken("an error begins with the file's name", message);
    if (message.back() == ' ' || message.back() == ':') broken("an error says what is wrong", message);
    if (parsed.error().fault != Fault::invalid) broken("an error of the text is one of its author", message);
    return 0;
  }
  const std::string written = config::write(*parsed);
  const auto again = config::parse(written, "y.toml");
  if (!again) broken("what is written can be read", written + "\n" + again.error().message);
  if (!(*again == *parsed)) broken("what is read back is what was written", written);
  if (config::write(*again) != written) broken("equal values give equal text", written);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Sends frames through the decapsulation program with BPF_PROG_TEST_RUN. Reads one frame per line, hexadecimal, from
// standard input and answers each with a line: VERDICT ACTION FRAME. `--verdicts` prints the names of the table.
//
//   decap_frames --from PREFIX... --to ADDRESS... [--gue-port N]
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "bpf/decap.hpp"
#include "tests/support/test_run.hpp"
#include "tools/decap/settings.hpp"

namespace {

using namespace weir;

std::vector<u8> bytes_of(const std::string& hex) {
  std::vector<u8> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<u8>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string hex_of(const std::vector<u8>& bytes) {
  std::string hex;
  for (const u8 byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

/// The verdicts whose counters differ; each grew by one packet of `length` bytes, or is marked as wrong.
std::string difference(const bpf::DecapTotals& before, const bpf::DecapTotals& after, std::size_t length) {
  std::string names;
  for (u32 i = 0; i < bpf::decap_verdict_count; ++i) {
    const u64 packets = after[i].packets - before[i].packets;
    const u64 bytes = after[i].bytes - before[i].bytes;
    if (packets == 0 && bytes == 0) continue;
    names += bpf::decap_verdict_table[i].name;
    if (packets != 1 || bytes != length) names += fmt::format("({}x{})", packets, bytes);
  }
  return names.empty() ? "none" : names;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> from, to;
  u16 gue_port = 6080;
  bool verdicts = false;
  CLI::App app("Frames through the decapsulation program");
  app.add_option("--from", from);
  app.add_option("--to", to);
  app.add_option("--gue-port", gue_port);
  app.add_flag("--verdicts", verdicts);
  CLI11_PARSE(app, argc, argv);
  if (verdicts) {
    for (const auto& row : bpf::decap_verdict_table) fmt::print("{}\n", row.name);
    return 0;
  }
  const auto settings = decap::settings_from(from, to, gue_port, "lo");
  const auto program = settings ? bpf::DecapProgram::load(*settings, "") : tl::unexpected(settings.error());
  if (!program) {
    fmt::print(stderr, "{}\n", program.error());
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::vector<u8> frame = bytes_of(line);
    const auto before = (*program)->totals();
    const auto result = testing::run((*program)->fd(), frame, 1);
    if (result.error != 0) {
      fmt::print("error {} -\n", result.error);
    } else {
      fmt::print("{} {} {}\n", difference(before, (*program)->totals(), frame.size()), result.action,
                 hex_of(result.frame));
    }
    std::fflush(stdout);
  }
  return 0;
}

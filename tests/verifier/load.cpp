// SPDX-License-Identifier: Apache-2.0
// Loads BPF objects into the kernel it runs on, and reports what the verifier made of them. One line per program:
//   OBJECT PROGRAM ok INSTRUCTIONS STEPS
//   OBJECT PROGRAM failed REASON
// INSTRUCTIONS are those handed to the kernel, STEPS those that the verifier walked. Exit 1 when any program failed.
//
// BTF that the kernel refuses is a failure here. libbpf only warns about it and loads the program without, which
// loses line information and, with it, every readable verifier message.
// --verbose prints the verifier's whole log of a refused program instead of its last words.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The verifier's own names for the bits of log_level (include/linux/bpf_verifier.h, not exported to user space).
constexpr unsigned log_states = 1, log_statistics = 4;
constexpr std::size_t log_bytes = 16u << 20;

std::string warnings;  // what libbpf had to say about the object at hand

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[4096];
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  warnings += line;
  return length;
}

/// The number before " insns" in "processed N insns (limit 1000000) ...", or 0.
unsigned long steps_in(std::string_view log) {
  constexpr std::string_view label = "processed ";
  const std::size_t at = log.rfind(label);
  return at == std::string_view::npos ? 0 : std::strtoul(log.data() + at + label.size(), nullptr, 10);
}

/// Empty when the kernel holds the program with its BTF and line information, else the reason why it does not.
std::string refusal(const bpf_program* program) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return "no information from the kernel";
  if (warnings.find("BTF is optional") != std::string::npos) return "the kernel refused its BTF";
  if (info.btf_id == 0) return "loaded without BTF";
  if (info.nr_line_info == 0) return "loaded without line information";
  return {};
}

bool load(const char* path, unsigned log_level) {
  warnings.clear();
  bpf_object* object = bpf_object__open_file(path, nullptr);
  if (object == nullptr) {
    std::printf("%s - failed cannot be opened: %s\n", path, std::strerror(errno));
    std::fputs(warnings.c_str(), stderr);
    return false;
  }

  // Nothing may stay behind, and nothing that somebody else has pinned may be used.
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, nullptr);

  std::vector<std::vector<char>> logs;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    auto& log = logs.emplace_back(log_bytes);
    bpf_program__set_log_buf(program, log.data(), log.size());
    bpf_program__set_log_level(program, log_level);
  }

  const int error = bpf_object__load(object);
  bool good = error == 0;
  std::size_t index = 0;
  bpf_object__for_each_program(program, object) {
    const char* log = logs[index++].data();
    const char* name = bpf_program__name(program);
    const std::string why = error != 0 ? std::strerror(-error) : refusal(program);
    if (why.empty()) {
      std::printf("%s %s ok %zu %lu\n", path, name, bpf_program__insn_cnt(program), steps_in(log));
    } else {
      std::printf("%s %s failed %s\n", path, name, why.c_str());
      std::fputs(log, stderr);
      good = false;
    }
  }
  if (index == 0) {
    std::printf("%s - failed holds no program\n", path);
    good = false;
  }
  if (!good) std::fputs(warnings.c_str(), stderr);
  bpf_object__close(object);
  return good;
}

}  // namespace

int main(int count, char** arguments) {
  const bool verbose = count > 1 && std::string_view(arguments[1]) == "--verbose";
  const int first = verbose ? 2 : 1;
  if (count <= first) {
    std::fputs("usage: load [--verbose] OBJECT...\n", stderr);
    return 2;
  }
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  libbpf_set_print(keep_warning);
  bool good = true;
  for (int i = first; i < count; i++) {
    good = load(arguments[i], log_statistics | (verbose ? log_states : 0)) && good;
  }
  return good ? 0 : 1;
}

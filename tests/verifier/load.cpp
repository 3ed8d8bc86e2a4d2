// SPDX-License-Identifier: Apache-2.0
// Loads BPF objects into the kernel it runs on, and reports what the verifier made of them. One line per program:
//   OBJECT PROGRAM ok INSTRUCTIONS STEPS
//   OBJECT PROGRAM failed REASON
// INSTRUCTIONS are those handed to the kernel, STEPS those that the verifier walked. Exit 1 when any program failed.
//
// BTF that the kernel refuses is a failure here. libbpf only warns about it and loads the program without, which
// loses line information and, with it, every readable verifier message.
// The tables have the size that the default limits give them: the program's constants depend on it, and with them what
// the verifier can prove.
// --verbose prints the verifier's whole log of a refused program instead of its last words.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/model/settings.hpp"
#include "dataplane/core/tables.hpp"
#include "dataplane/memory/flow_memory.hpp"
#include "dataplane/memory/table_memory.hpp"

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

/// The bytes of the constant `name` within `data`, the read-only data of `object`; empty when there is none.
std::span<char> constant(bpf_object* object, std::span<char> data, std::string_view name) {
  const btf* types = bpf_object__btf(object);
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (section < 0) return {};
  const btf_type* type = btf__type_by_id(types, static_cast<__u32>(section));
  for (__u32 i = 0; i < btf_vlen(type); i++) {
    const btf_var_secinfo& variable = btf_var_secinfos(type)[i];
    if (btf__name_by_offset(types, btf__type_by_id(types, variable.type)->name_off) == name) {
      return data.subspan(variable.offset, variable.size);
    }
  }
  return {};
}

template <class T>
bool store(std::span<char> bytes, const T& value) {
  if (bytes.size() != sizeof value) return false;
  std::memcpy(bytes.data(), &value, sizeof value);
  return true;
}

/// Gives the tables of `object` the size of the default limits; false when the object declares tables without the
/// constants that go with them. An object without tables is left alone.
bool set_sizes(bpf_object* object) {
  bpf_map* tables = bpf_object__find_map_by_name(object, "weir_tables");
  if (tables == nullptr) return true;
  const weir::model::Limits limits;
  const weir::TableSizes sizes = weir::sizes_for(limits.services, limits.backends, limits.rows);
  const weir::TableOffsets offsets = weir::offsets_of(sizes);
  bpf_map* flow_table = bpf_object__find_map_by_name(object, "weir_flows");
  if (flow_table == nullptr) return false;
  const weir::FlowSizes flow_sizes = weir::flow_sizes_for(weir::default_flows, weir::default_embryos);
  const weir::FlowOffsets flow_offsets = weir::flow_offsets_of(flow_sizes);

  bpf_map* constants = nullptr;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (std::string_view(bpf_map__name(map)).ends_with(".rodata")) constants = map;
  }
  if (constants == nullptr) return false;
  std::size_t length = 0;
  const char* initial = static_cast<const char*>(bpf_map__initial_value(constants, &length));
  std::vector<char> data(initial, initial + length);
  return store(constant(object, data, "weir_sizes"), sizes) && store(constant(object, data, "weir_offsets"), offsets) &&
         store(constant(object, data, "weir_flow_sizes"), flow_sizes) &&
         store(constant(object, data, "weir_flow_offsets"), flow_offsets) &&
         store(constant(object, data, "weir_jiffy"), __u64{4'000'000}) &&
         bpf_map__set_initial_value(constants, data.data(), data.size()) == 0 &&
         bpf_map__set_value_size(tables, static_cast<__u32>(offsets.end)) == 0 &&
         bpf_map__set_value_size(flow_table, static_cast<__u32>(flow_offsets.end)) == 0;
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

  if (!set_sizes(object)) {
    std::printf("%s - failed weir_tables without the flow table, or without constants of the layout known here\n",
                path);
    bpf_object__close(object);
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

// SPDX-License-Identifier: Apache-2.0
// Puts a program of a former layout, whose backend records are twice as long, in the place of the one that runs, with
// the same tables: what a host looks like before an upgrade. For tests; no lbd runs meanwhile.
//   former PIN_DIR [VERSION]      VERSION: what the tables say they are, if not the layout's own
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "bpf/jiffies.hpp"
#include "dataplane/memory/table_shape.hpp"

using weir::FlowOffsets;
using weir::FlowSizes;
using weir::TableOffsets;
using weir::TableSizes;
using weir::u32;
using weir::u64;
#include "former.skel.h"

namespace {

using namespace weir;

template <class T>
T need(T value, const std::string& what) {
  if (value < 0) {
    fmt::print(stderr, "former: cannot {}: errno {}\n", what, errno);
    std::exit(1);
  }
  return value;
}

u8* mapped(int fd, std::size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) need(-1, "map the tables");
  return static_cast<u8*>(address);
}

std::size_t value_bytes(int fd) {
  bpf_map_info info{};
  u32 length = sizeof info;
  need(bpf_obj_get_info_by_fd(fd, &info, &length), "inspect a map");
  return info.value_size;
}

TableShape running_shape(const Globals& globals) {
  TableShape shape{globals.version, globals.sizes, globals.service_bytes, globals.backend_bytes,
                   offsets_of(globals.sizes)};
  shape.at.backends = shape.at.services + u64{shape.service_bytes} * shape.sizes.services;
  shape.at.rows = shape.at.backends + u64{shape.backend_bytes} * shape.sizes.backends;
  shape.at.end = shape.at.rows + sizeof(Row) * shape.sizes.rows;
  return shape;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: former PIN_DIR [VERSION]\n");
    return 2;
  }
  const std::string pins = argv[1];
  const auto pinned = [&](const std::string& name) {
    return need(bpf_obj_get((pins + "/" + name).c_str()), "open the pinned " + name);
  };
  const int tables = pinned("weir_tables");
  const u8* const image = mapped(tables, value_bytes(tables));
  const TableShape shape = running_shape(*reinterpret_cast<const Globals*>(image));
  const int flow_table = pinned("weir_flows");
  const FlowSizes flow_sizes = reinterpret_cast<const FlowHeader*>(mapped(flow_table, value_bytes(flow_table)))->sizes;

  former_skeleton* skeleton = former_skeleton__open();
  if (!skeleton) return 1;
  const TableOffsets offsets = offsets_of(shape.sizes);
  bpf_map__set_value_size(skeleton->maps.weir_tables, static_cast<u32>(offsets.end));
  skeleton->rodata->weir_sizes = shape.sizes;
  skeleton->rodata->weir_offsets = offsets;
  skeleton->rodata->weir_flow_sizes = flow_sizes;
  skeleton->rodata->weir_flow_offsets = flow_offsets_of(flow_sizes);
  const bpf::Jiffies jiffies = bpf::jiffies_of_host();
  skeleton->rodata->weir_jiffy = jiffies.length;
  skeleton->rodata->weir_first_jiffy = jiffies.first;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    const std::string name = bpf_map__name(map);
    if (bpf_map__is_internal(map) || name == "weir_tables" || name == "weir_programs") continue;
    need(bpf_map__reuse_fd(map, pinned(name)), "take over " + name);
  }
  need(former_skeleton__load(skeleton), "load the former program");
  const int own = bpf_map__fd(skeleton->maps.weir_tables);
  TableMemory memory = tables_in(mapped(own, offsets.end), shape.sizes);
  take_over(image, shape, memory);
  if (argc > 2) memory.globals->version = static_cast<u32>(std::strtoul(argv[2], nullptr, 10));
  const u32 first = 0;
  const int control = bpf_program__fd(skeleton->progs.weir_control);
  need(bpf_map_update_elem(bpf_map__fd(skeleton->maps.weir_programs), &first, &control, BPF_ANY), "enter a program");

  for (const auto& entry : std::filesystem::directory_iterator(pins))
    if (entry.path().filename().string().starts_with("link-"))
      need(bpf_link_update(need(bpf_obj_get(entry.path().c_str()), "open a link"),
                           bpf_program__fd(skeleton->progs.weir_lb), nullptr),
           "replace the program");
  for (const char* name : {"weir_programs", "weir_tables"}) {
    const std::string path = pins + "/" + name;
    ::unlink(path.c_str());
    need(bpf_obj_pin(bpf_object__find_map_fd_by_name(skeleton->obj, name), path.c_str()), "pin " + path);
  }
  fmt::print("layout version {}\n", memory.globals->version);
  return 0;
}

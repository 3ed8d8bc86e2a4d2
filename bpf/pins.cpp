// SPDX-License-Identifier: Apache-2.0
#include "bpf/pins.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <string_view>

namespace weir::bpf {
namespace {

constexpr std::string_view tables_map = "weir_tables";
// Programs of one layout are not entered into the array that programs of another use.
constexpr std::string_view programs_map = "weir_programs";
// The flows that rows in change depend on.
constexpr std::string_view flows_map = "weir_flows";

std::string path_of(const bpf_map* map, const std::string& pin_dir) { return pin_dir + "/" + bpf_map__name(map); }

std::vector<bpf_map*> maps_of(bpf_object* object) {
  std::vector<bpf_map*> maps;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) if (!bpf_map__is_internal(map)) maps.push_back(map);
  return maps;
}

Outcome<bpf_map_info> inspect(const std::string& path) {
  const Descriptor fd(bpf_obj_get(path.c_str()));
  if (!fd.valid()) return failure("cannot open the pinned map {}: {}", path, errno_text(errno));
  bpf_map_info info{};
  u32 length = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(fd.get(), &info, &length); error != 0)
    return failure("cannot inspect the pinned map {}: {}", path, errno_text(error));
  return info;
}

bool is_alike(const bpf_map* map, const bpf_map_info& info) {
  return info.type == bpf_map__type(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map);
}

auto other_sizes(const bpf_map* map, const bpf_map_info& info, const std::string& pin_dir) {
  return failure(
      "the running tables in {} have another size or layout ({} holds {} x {} bytes, {} x {} bytes are wanted); "
      "restore "
      "the limits they were made with, or remove the fast path first: lbd --detach",
      pin_dir, bpf_map__name(map), info.max_entries, info.value_size, bpf_map__max_entries(map),
      bpf_map__value_size(map));
}

void reuse(bpf_map* map, const bpf_map_info& info, const std::string& path) {
  bpf_map__set_pin_path(map, path.c_str());
  // The kernel adds BPF_F_RDONLY_PROG to a device map, and libbpf 1.1 then takes the pinned one for another map.
  bpf_map__set_map_flags(map, info.map_flags);
}

/// The pinned tables' own account of themselves.
Outcome<TableShape> read_shape(const std::string& path, const std::string& pin_dir, const bpf_map_info& info,
                               Mapped& image) {
  const Descriptor fd(bpf_obj_get(path.c_str()));
  auto mapped = Mapped::map(fd.get(), info.value_size, 1);
  if (!mapped) return tl::unexpected(mapped.error());
  image = std::move(*mapped);
  if (info.value_size < sizeof(Globals)) return failure("{} is no table of Weir's; remove it", path);
  const Globals& globals = image.as<Globals>().front();
  const auto shape = shape_of(globals);
  if (!shape || shape->at.end != info.value_size)
    return failure(
        "the running tables in {} have layout version {}, which this lbd cannot take over (it takes {} to {}); run the "
        "lbd they belong to, or remove the fast path first: lbd --detach",
        pin_dir, globals.version, oldest_version, layout_version);
  return *shape;
}

/// Takes over what fits; what another layout has made otherwise is made anew, the flows excepted.
Outcome<Pins> upgrade(const std::vector<bpf_map*>& maps, const std::string& pin_dir, Pins pins) {
  for (bpf_map* map : maps) {
    const std::string path = path_of(map, pin_dir);
    const std::string_view name = bpf_map__name(map);
    if (name != tables_map && name != programs_map && ::access(path.c_str(), F_OK) == 0) {
      const auto info = inspect(path);
      if (!info) return tl::unexpected(info.error());
      if (is_alike(map, *info)) {
        reuse(map, *info, path);
        continue;
      }
      if (name == flows_map) return other_sizes(map, *info, pin_dir);
    }
    bpf_map__set_pin_path(map, nullptr);
    pins.replaced.emplace_back(name);
  }
  return pins;
}

}  // namespace

Outcome<Pins> choose_pins(bpf_object* object, const std::string& pin_dir) {
  const std::vector<bpf_map*> maps = maps_of(object);
  Pins pins;
  unsigned present = 0;
  std::vector<std::function<void()>> decided;
  for (bpf_map* map : maps) {
    const std::string path = path_of(map, pin_dir);
    if (::access(path.c_str(), F_OK) != 0) {
      decided.emplace_back([map, path] { bpf_map__set_pin_path(map, path.c_str()); });
      continue;
    }
    ++present;
    const auto info = inspect(path);
    if (!info) return tl::unexpected(info.error());
    if (bpf_map__name(map) == tables_map) {
      auto shape = read_shape(path, pin_dir, *info, pins.former_image);
      if (!shape) return tl::unexpected(shape.error());
      pins.former = *shape;
    }
    decided.emplace_back([map, info = *info, path] { reuse(map, info, path); });
  }
  pins.adopted = present != 0;
  if (pins.former && !is_present_layout(*pins.former)) return upgrade(maps, pin_dir, std::move(pins));
  pins.former.reset();
  for (bpf_map* map : maps) {
    if (present == 0) break;
    const auto info = inspect(path_of(map, pin_dir));
    if (!info)
      return failure("{} holds {} of {} maps: an incomplete fast path; remove it first: lbd --detach", pin_dir, present,
                     maps.size());
    if (!is_alike(map, *info)) return other_sizes(map, *info, pin_dir);
  }
  for (const auto& decision : decided) decision();
  return pins;
}

Outcome<> replace_pins(bpf_object* object, const Pins& pins, const std::string& pin_dir) {
  std::vector<std::string> order = pins.replaced;
  std::stable_partition(order.begin(), order.end(), [](const std::string& name) { return name != tables_map; });
  for (const std::string& name : order) {
    const std::string path = fmt::format("{}/{}", pin_dir, name);
    const std::string beside = path + "_new";
    ::unlink(beside.c_str());  // of an upgrade that was cut short
    if (bpf_obj_pin(bpf_object__find_map_fd_by_name(object, name.c_str()), beside.c_str()) != 0)
      return failure("cannot pin {}: {}", beside, errno_text(errno));
    if (std::rename(beside.c_str(), path.c_str()) != 0)
      return failure("cannot put {} in the place of {}: {}", beside, path, errno_text(errno));
  }
  return {};
}

}  // namespace weir::bpf

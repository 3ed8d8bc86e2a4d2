// SPDX-License-Identifier: Apache-2.0
// Reads settings and counters from the maps of the program that runs: no copy of them could differ from it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "bpf/decap.hpp"
#include "bpf/decap_pins.hpp"
#include "bpf/mapped.hpp"

namespace weir::bpf {
namespace {

namespace fs = std::filesystem;

/// Calls `take` with each key of the map behind `fd`.
template <class Key, class Take>
void each_key(int fd, const Take& take) {
  Key key{};
  for (const Key* previous = nullptr; bpf_map_get_next_key(fd, previous, &key) == 0; previous = &key) take(key);
}

Outcome<> read_map(u32 id, DecapState& state) {
  const Descriptor map(bpf_map_get_fd_by_id(id));
  bpf_map_info info{};
  u32 length = sizeof info;
  if (!map.valid() || bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0)
    return failure("cannot read the map with id {} of the program on {}: {}", id, state.interface, errno_text(errno));
  const std::string_view name(info.name);
  if (name == "weir_own") {
    each_key<OuterAddress>(map.get(), [&](const OuterAddress& own) { state.settings.own.push_back(own.ip); });
  } else if (name == "weir_sources") {
    each_key<OuterPrefix>(map.get(), [&](const OuterPrefix& source) {
      const u32 before = outer_bits - (source.address.family == outer_family4 ? 32 : 128);
      state.settings.sources.push_back({source.address.ip, source.bits - before});
    });
  } else if (name == "weir_constants") {
    const u32 key = 0;
    DecapConstants constants{};
    if (bpf_map_lookup_elem(map.get(), &key, &constants) == 0) state.settings.gue_port = to_host(constants.gue_port);
  } else if (name == "weir_counts") {
    auto totals = decap_totals(map.get());
    if (!totals) return tl::unexpected(totals.error());
    state.totals = *totals;
  }
  return {};
}

Outcome<DecapState> read_state(const std::string& interface, const std::string& own_dir) {
  DecapState state{.interface = interface};
  std::string path = own_dir + "/link-" + fs::path(own_dir).filename().string();
  const Descriptor link(bpf_obj_get(path.c_str()));
  if (!link.valid())
    return failure("{} holds no link ({}); lb-decap detach {} removes what is left", own_dir, errno_text(errno),
                   interface);
  bpf_link_info info{};
  u32 length = sizeof info;
  if (bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0)
    return failure("cannot inspect {}: {}", path, errno_text(errno));
  state.ifindex = info.xdp.ifindex;
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (state.ifindex != 0 && bpf_xdp_query(static_cast<int>(state.ifindex), 0, &query) == 0 &&
      query.attach_mode == XDP_ATTACHED_SKB)
    state.mode = AttachMode::generic;

  const Descriptor program(bpf_prog_get_fd_by_id(info.prog_id));
  std::array<u32, 16> ids{};
  bpf_prog_info about{};
  about.nr_map_ids = ids.size();
  about.map_ids = reinterpret_cast<u64>(ids.data());
  length = sizeof about;
  if (!program.valid() || bpf_obj_get_info_by_fd(program.get(), &about, &length) != 0)
    return failure("cannot inspect the program on {}: {}", interface, errno_text(errno));
  for (u32 i = 0; i < about.nr_map_ids && i < ids.size(); ++i)
    if (auto read = read_map(ids[i], state); !read) return tl::unexpected(read.error());
  return state;
}

}  // namespace

Outcome<DecapTotals> decap_totals(int fd) {
  DecapTotals totals{};
  std::vector<VerdictCounters> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (u32 i = 0; i < decap_verdict_count; ++i) {
    if (bpf_map_lookup_elem(fd, &i, per_cpu.data()) != 0)
      return failure("cannot read counter {}: {}; the program has another version of the verdict table", i,
                     errno_text(errno));
    for (const VerdictCounters& cpu : per_cpu) {
      totals[i].packets += cpu.packets;
      totals[i].bytes += cpu.bytes;
    }
  }
  return totals;
}

Outcome<std::vector<DecapState>> decap_states(const std::string& pin_dir) {
  std::vector<std::string> directories;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(pin_dir, error))
    if (entry.is_directory()) directories.push_back(entry.path().filename());
  if (error && error != std::errc::no_such_file_or_directory)
    return failure("cannot read {}: {}", pin_dir, error.message());
  std::sort(directories.begin(), directories.end());
  std::vector<DecapState> states;
  for (const std::string& directory : directories) {
    const auto read = [&] { return read_state(decap_interface(directory), pin_dir + "/" + directory); };
    auto state = read();
    // A program that is replaced while it is looked at is gone with its maps.
    for (int again = 0; !state && again < 10; ++again) state = read();
    if (!state) return tl::unexpected(state.error());
    states.push_back(std::move(*state));
  }
  return states;
}

}  // namespace weir::bpf

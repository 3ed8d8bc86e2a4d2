// SPDX-License-Identifier: Apache-2.0
#include "bpf/count.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <algorithm>
#include <cerrno>

#include "bpf/mapped.hpp"
#include "count.skel.h"

namespace weir::bpf {
namespace {

struct SkeletonDeleter {
  void operator()(count_skeleton* skeleton) const { count_skeleton__destroy(skeleton); }
};

template <class T>
std::vector<T> per_cpu(const bpf_map* map, const void* key) {
  std::vector<T> values(static_cast<std::size_t>(std::max(libbpf_num_possible_cpus(), 1)));
  if (bpf_map_lookup_elem(bpf_map__fd(map), key, values.data()) != 0) values.clear();
  return values;
}

}  // namespace

struct Counter::State {
  std::unique_ptr<count_skeleton, SkeletonDeleter> skeleton;
  Descriptor link;
  bool native = true;

  [[nodiscard]] CountTotal total() const {
    const u32 key = 0;
    CountTotal sum{};
    for (const CountTotal& one : per_cpu<CountTotal>(skeleton->maps.weir_total, &key)) {
      sum.packets += one.packets;
      sum.bytes += one.bytes;
      sum.others += one.others;
      sum.unlisted += one.unlisted;
      if (one.first != 0 && (sum.first == 0 || one.first < sum.first)) sum.first = one.first;
      sum.last = std::max(sum.last, one.last);
    }
    return sum;
  }
};

Outcome<std::unique_ptr<Counter>> Counter::attach(const std::string& interface, u32 ifindex, bool drop) {
  libbpf_set_print(nullptr);
  auto state = std::make_unique<State>();
  state->skeleton.reset(count_skeleton__open());
  if (!state->skeleton) return failure("cannot open the counting program: {}", errno_text(errno));
  state->skeleton->rodata->weir_drop = drop;
  if (const int error = count_skeleton__load(state->skeleton.get()); error != 0)
    return failure("the kernel refuses the counting program: {}; it takes root and Linux 6.1", errno_text(error));
  const auto create = [&](u32 flags) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return Descriptor(bpf_link_create(bpf_program__fd(state->skeleton->progs.weir_count), static_cast<int>(ifindex),
                                      BPF_XDP, &options));
  };
  state->link = create(XDP_FLAGS_DRV_MODE);
  if (!state->link.valid() && errno != EBUSY && errno != EEXIST) {
    state->native = false;
    state->link = create(XDP_FLAGS_SKB_MODE);
  }
  if (!state->link.valid() && (errno == EBUSY || errno == EEXIST))
    return failure("{} already has an XDP program (ip link show {}); count at another interface, or take it off",
                   interface, interface);
  if (!state->link.valid()) return failure("cannot attach to {}: {}", interface, errno_text(errno));
  return std::unique_ptr<Counter>(new Counter(std::move(state)));
}

Counter::Counter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Counter::~Counter() = default;

bool Counter::native() const { return state_->native; }
u64 Counter::packets() const { return state_->total().packets; }

Counted Counter::read() const {
  Counted counted{state_->total(), {}};
  const bpf_map* map = state_->skeleton->maps.weir_rows;
  CountKey key{}, next{};
  for (const CountKey* at = nullptr; bpf_map_get_next_key(bpf_map__fd(map), at, &next) == 0; at = &key) {
    key = next;
    CountRow sum{};
    for (const CountRow& one : per_cpu<CountRow>(map, &key)) {
      sum.packets += one.packets;
      sum.bytes += one.bytes;
    }
    counted.rows.emplace_back(key, sum);
  }
  return counted;
}

}  // namespace weir::bpf

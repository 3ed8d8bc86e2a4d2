// SPDX-License-Identifier: Apache-2.0
#include "bpf/counters.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace weir::bpf {
namespace {

/// One element of a per-CPU array, summed field by field; `Record` consists of u64 fields alone.
template <class Record>
Record sum(int fd, u32 key, unsigned cpus) {
  constexpr std::size_t fields = sizeof(Record) / sizeof(u64);
  std::vector<std::array<u64, fields>> per_cpu(cpus);
  std::array<u64, fields> total{};
  if (bpf_map_lookup_elem(fd, &key, per_cpu.data()) == 0)
    for (const auto& cpu : per_cpu)
      for (std::size_t i = 0; i < fields; ++i) total[i] += cpu[i];
  return __builtin_bit_cast(Record, total);
}

template <class Record>
void reset(int fd, u32 key, unsigned cpus) {
  const std::vector<Record> zeroes(cpus);
  bpf_map_update_elem(fd, &key, zeroes.data(), BPF_EXIST);
}

}  // namespace

Counting::Counting(int verdicts_fd, int services_fd, int backends_fd, int flows_fd)
    : verdicts_fd_(verdicts_fd),
      services_fd_(services_fd),
      backends_fd_(backends_fd),
      flows_fd_(flows_fd),
      cpus_(static_cast<unsigned>(libbpf_num_possible_cpus())) {}

VerdictTotals Counting::verdicts() const {
  VerdictTotals totals{};
  for (u32 i = 0; i < verdict_count; ++i) totals[i] = verdict(i);
  return totals;
}

VerdictCounters Counting::verdict(u32 index) const { return sum<VerdictCounters>(verdicts_fd_, index, cpus_); }

Counters Counting::service(u32 id) const { return sum<Counters>(services_fd_, id, cpus_); }
Counters Counting::backend(u32 id) const { return sum<Counters>(backends_fd_, id, cpus_); }
FlowCounters Counting::flows(u32 service) const { return sum<FlowCounters>(flows_fd_, service, cpus_); }
void Counting::reset_service(u32 id) const {
  reset<Counters>(services_fd_, id, cpus_);
  reset<FlowCounters>(flows_fd_, id, cpus_);
}
void Counting::reset_backend(u32 id) const { reset<Counters>(backends_fd_, id, cpus_); }

}  // namespace weir::bpf

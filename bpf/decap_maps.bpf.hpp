// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The maps of the decapsulation program. All but the counters are made anew for each change of settings and belong to
// one loaded program: a packet sees the old settings or the new ones.
#pragma once

#include "bpf/bpfxx.hpp"
#include "bpf/decap_layout.hpp"
#include "dataplane/core/tables.hpp"

struct weir_counts_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  BPF_MAP_NUMBER(max_entries, weir::bpf::decap_verdict_count);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::VerdictCounters);
};
BPF_SECTION(".maps") weir_counts_map weir_counts;

struct weir_own_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
  BPF_MAP_NUMBER(max_entries, 1);  // loader
  BPF_MAP_TYPE(key, weir::bpf::OuterAddress);
  BPF_MAP_TYPE(value, weir::u32);
};
BPF_SECTION(".maps") weir_own_map weir_own;

struct weir_sources_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_LPM_TRIE);
  BPF_MAP_NUMBER(max_entries, 1);  // loader
  BPF_MAP_NUMBER(map_flags, BPF_F_NO_PREALLOC);
  BPF_MAP_TYPE(key, weir::bpf::OuterPrefix);
  BPF_MAP_TYPE(value, weir::u32);
};
BPF_SECTION(".maps") weir_sources_map weir_sources;

struct weir_constants_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::bpf::DecapConstants);
};
BPF_SECTION(".maps") weir_constants_map weir_constants;

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The maps of the XDP program. The image of dataplane/core/tables.hpp is one array map with one element: its address
// does not depend on the packet, so a look-up in a table is an addition and a comparison, on no critical path but its
// own. (With a map per table each look-up's key went through the stack: 5 cycles six times in a row.)
#pragma once

#include "bpf/bpfxx.hpp"
#include "bpf/events.hpp"
#include "dataplane/core/budget.hpp"
#include "dataplane/core/tables.hpp"
#include "dataplane/core/verdict.hpp"

#define BPF_COUNTERS(name, record, count)            \
  struct name##_map {                                \
    BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
    BPF_MAP_NUMBER(max_entries, count);              \
    BPF_MAP_TYPE(key, weir::u32);                    \
    BPF_MAP_TYPE(value, record);                     \
  };                                                 \
  BPF_SECTION(".maps") name##_map name

struct weir_tables_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
  BPF_MAP_NUMBER(key_size, 4);
  BPF_MAP_NUMBER(value_size, 64);  // loader: the length of the image
};
BPF_SECTION(".maps") weir_tables_map weir_tables;

BPF_COUNTERS(weir_verdicts, weir::VerdictCounters, weir::verdict_count);
BPF_COUNTERS(weir_svc_stats, weir::Counters, 1);  // loader; kernel names hold 15 characters
BPF_COUNTERS(weir_be_stats, weir::Counters, 1);   // loader

struct weir_budget_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::AnswerBudget);
};
BPF_SECTION(".maps") weir_budget_map weir_budget;

// Programs that weir_lb goes on in, entered by the loader.
inline constexpr weir::u32 control_program = 0;
struct weir_programs_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PROG_ARRAY);
  BPF_MAP_NUMBER(max_entries, 1);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::u32);
};
BPF_SECTION(".maps") weir_programs_map weir_programs;

struct weir_devices_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_DEVMAP);
  BPF_MAP_NUMBER(max_entries, weir::port_count);
  BPF_MAP_TYPE(key, weir::u32);
  BPF_MAP_TYPE(value, weir::u32);
};
BPF_SECTION(".maps") weir_devices_map weir_devices;

struct weir_events_map {
  BPF_MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
  BPF_MAP_NUMBER(max_entries, 65536);
};
BPF_SECTION(".maps") weir_events_map weir_events;

// The image's layout: constants to the verifier, so that it can prove every access. Set by the loader.
extern "C" {
extern const volatile weir::TableSizes weir_sizes;
extern const volatile weir::TableOffsets weir_offsets;
extern const volatile weir::u32 weir_fill_headroom;
const volatile weir::TableSizes weir_sizes = {};
const volatile weir::TableOffsets weir_offsets = {};
const volatile weir::u32 weir_fill_headroom = 0;  // tests: fresh room holds a pattern before anything is written to it
}

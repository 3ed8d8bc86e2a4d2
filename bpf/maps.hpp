// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The maps of the XDP program. Those of dataplane/core/tables.hpp are memory-mapped by the daemon; their look-ups are
// inlined by the kernel's JIT. Sizes marked "loader" are set from the configuration before loading.
#pragma once

#include "bpf/bpfxx.hpp"
#include "bpf/events.hpp"
#include "dataplane/core/tables.hpp"
#include "dataplane/core/verdict.hpp"

#define BPF_TABLE(name, record, count)                 \
  struct name##_map {                                  \
    BPF_MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);          \
    BPF_MAP_NUMBER(max_entries, count);                \
    BPF_MAP_NUMBER(map_flags, BPF_F_MMAPABLE);         \
    BPF_MAP_TYPE(key, weir::u32);                      \
    BPF_MAP_TYPE(value, record);                       \
  };                                                   \
  BPF_SECTION(".maps") name##_map name

#define BPF_COUNTERS(name, record, count)              \
  struct name##_map {                                  \
    BPF_MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);   \
    BPF_MAP_NUMBER(max_entries, count);                \
    BPF_MAP_TYPE(key, weir::u32);                      \
    BPF_MAP_TYPE(value, record);                       \
  };                                                   \
  BPF_SECTION(".maps") name##_map name

BPF_TABLE(weir_globals, weir::Globals, 1);
BPF_TABLE(weir_buckets, weir::u64, 1);         // loader
BPF_TABLE(weir_slots, weir::IndexSlot, 1);     // loader
BPF_TABLE(weir_services, weir::Service, 1);    // loader
BPF_TABLE(weir_rows, weir::Row, 1);            // loader
BPF_TABLE(weir_backends, weir::Backend, 1);    // loader
BPF_TABLE(weir_ports, weir::Port, weir::port_count);

BPF_COUNTERS(weir_verdicts, weir::VerdictCounters, weir::verdict_count);
BPF_COUNTERS(weir_svc_stats, weir::Counters, 1);  // loader; kernel names hold 15 characters
BPF_COUNTERS(weir_be_stats, weir::Counters, 1);   // loader

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

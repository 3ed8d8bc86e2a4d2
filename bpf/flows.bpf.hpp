// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the flow table needs beyond a glance stands in functions of its own, so that the kernel proves it apart from the
// rest and its stack is free again when the packet is rewritten.
#pragma once

#include "bpf/tables.bpf.hpp"
#include "dataplane/core/recall.hpp"

extern "C" [[gnu::noinline]] weir::u64 weir_recall(const weir::FlowQuery* query) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  if (!query || !tables) return recalled(nobody, false);
  return recall_flow(bpf::KernelTables{nullptr, tables}, *query);
}

extern "C" [[gnu::noinline]] weir::u64 weir_consult(const weir::FlowQuery* query) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  if (!query || !tables) return recalled(nobody, false);
  return consult_flow(bpf::KernelTables{nullptr, tables}, *query);
}

extern "C" [[gnu::noinline]] weir::u32 weir_note(const weir::FlowKey* key, weir::u32 packet) {
  using namespace weir;
  u8* const tables = bpf::lookup<u8>(weir_tables, 0);
  if (key && tables) note_answer(bpf::KernelTables{nullptr, tables}, *key, packet);
  return 0;
}

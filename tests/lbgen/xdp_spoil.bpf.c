// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A receiver at its worst: writes over every byte of every second TCP or UDP frame, then drops it. The sender gets its
// memory back like that.
#include <linux/bpf.h>

static long (*store_bytes)(struct xdp_md *, __u32, const void *, __u32) = (void *)BPF_FUNC_xdp_store_bytes;

static int seen;

__attribute__((section("xdp"), used)) int xdp_spoil(struct xdp_md *ctx) {
  const unsigned char *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  const __u64 noise[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
  if (frame + 24 > end || frame[12] != 8 || frame[13] != 0 || frame[23] == 1 || ++seen % 2) return XDP_PASS;
  const __u32 length = end - frame;
#pragma unroll
  for (__u32 at = 0; at < 1536; at += 64)
    if (at + 64 <= length) store_bytes(ctx, at, noise, 64);
  if (length >= 64) store_bytes(ctx, length - 64, noise, 64);
  return XDP_DROP;
}

__attribute__((section("license"), used)) char license_text[] = "Dual BSD/GPL";

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Lets every frame through. A veth end that is to receive frames sent by XDP_TX or XDP_REDIRECT needs a program of its
// own: without one the kernel drops the frames, or leaves them in the ring.
#include <linux/bpf.h>

__attribute__((section("xdp"), used)) int xdp_pass(struct xdp_md *ctx) {
  (void)ctx;
  return XDP_PASS;
}

__attribute__((section("license"), used)) char license_text[] = "Dual BSD/GPL";

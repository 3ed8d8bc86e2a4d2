# SPDX-License-Identifier: Apache-2.0
"""Who stands where in the bed: names, interfaces and addresses of both layouts, and their drawings. Plain values."""

from dataclasses import dataclass

VIP4_NAT, VIP4_DSR, VIP4_IPIP, VIP4_GUE = (f"203.0.113.{n}" for n in (10, 20, 30, 40))
VIP6_NAT, VIP6_DSR, VIP6_IPIP, VIP6_GUE = (f"2001:db8:f::{n}" for n in (10, 20, 30, 40))
VIPS4, VIPS6 = "203.0.113.0/24", "2001:db8:f::/64"

VIPS = {("nat", 4): VIP4_NAT, ("nat", 6): VIP6_NAT, ("l2dsr", 4): VIP4_DSR, ("l2dsr", 6): VIP6_DSR,
        ("ipip", 4): VIP4_IPIP, ("ipip", 6): VIP6_IPIP, ("gue", 4): VIP4_GUE, ("gue", 6): VIP6_GUE}
# Those that backends have on their lo, because in these modes packets reach them addressed to the VIP.
VIPS_OF_BACKENDS = [vip for (mode, _), vip in VIPS.items() if mode != "nat"]

TUNNEL4, TUNNEL6 = "198.18.128.0/17", "2001:db8:e::/64"  # outer source addresses; no host has them

CLIENT4, CLIENT6 = "192.0.2.1", "2001:db8:1::1"
BALANCER4, BALANCER6 = "192.0.2.254", "2001:db8:1::fe"
FLOOD, FLOOD_BALANCER = "198.19.255.1", "198.19.255.254"  # where lbgen sends from, and its next hop
SECOND4, SECOND6 = "192.0.2.253", "2001:db8:1::fd"  # a second balancer, on "switch" only
SECOND_INSIDE4, SECOND_INSIDE6 = "198.51.100.2", "2001:db8:b::2"  # its addresses towards the backends

ROUTED_DRAWING = """\
  ┌────────────────┐           ┌─────────────────┐           ┌─────────────────────┐
  │ client         │           │ lb              ├ l1 ─── b0 ┤ b1  198.51.100.11   ├ d0 ─┐
  │                │           │                 │           ├─────────────────────┤     │
  │ 192.0.2.1      ├ c0 ─── l0 ┤ 192.0.2.254     ├ l2 ─── b0 ┤ b2  198.51.100.75   ├ d0 ─┤
  │ 2001:db8:1::1  │           │ 2001:db8:1::fe  │           ├─────────────────────┤     │
  │                │           │                 ├ l3 ─── b0 ┤ b3  198.51.100.139  ├ d0 ─┤
  │                │           │ XDP program     │           ├─────────────────────┤     │
  │                │           │ lbd, lbctl      ├ l4 ─── b0 ┤ b4  198.51.100.203  ├ d0 ─┤
  └───────┬ c1 ────┘           └─────────────────┘           └─────────────────────┘     │
          └──────────── lan: bridge, 198.18.0.0/24, answers as a VIP on lo ──────────────┘

  lb to bN: 198.51.100.0/26, .64/26, .128/26, .192/26 (lb has the first address)
            2001:db8:b:N::/64 (lb is ::1, bN is ::11)
  bN runs:  nginx on 80, 8080 and 8443 (TLS), sshd on 22; all VIPs but those of nat are on its lo
  VIPs:     203.0.113.10 and 2001:db8:f::10 (nat), .20 and ::20 (l2dsr), .30 and ::30 (ipip), .40 and ::40 (gue)
"""

SWITCH_DRAWING = """\
  ┌────────────────┐   ┌──────────────────┐   ┌──────────────────────┐
  │ client         │   │ lb  (one arm)    │   │ b1 .. b4             │
  │ 192.0.2.1      │   │ 192.0.2.254      │   │ 198.51.100.11 .. .14 │
  │ 2001:db8:1::1  │   │ 198.51.100.1     │   │ 2001:db8:b::11 ..    │
  └──────┬ c0 ─────┘   └──────┬ l0 ───────┘   └──────┬ b0 ───────────┘
         └──────────── sw: bridge, one segment ──────┘
"""


@dataclass(frozen=True)
class Backend:
    """One backend host: its name, the balancer's interface and addresses towards it, its own addresses."""

    name: str
    index: int  # 1..4
    v4: str
    v6: str
    v4_bits: int
    lb_v4: str
    lb_v6: str
    lb_interface: str

    def address(self, family: int) -> str:
        """The address of family 4 or 6."""
        return self.v4 if family == 4 else self.v6


def backend(index: int, layout: str) -> Backend:
    """Backend number `index` (1..4) of a layout, "routed" or "switch"."""
    if layout == "routed":
        base = 64 * (index - 1)
        return Backend(f"b{index}", index, f"198.51.100.{base + 11}", f"2001:db8:b:{index}::11", 26,
                       f"198.51.100.{base + 1}", f"2001:db8:b:{index}::1", f"l{index}")
    return Backend(f"b{index}", index, f"198.51.100.{10 + index}", f"2001:db8:b::{10 + index}", 24,
                   "198.51.100.1", "2001:db8:b::1", "l0")


def endpoint(address: str, port: int) -> str:
    """"192.0.2.1:80" or "[2001:db8::1]:80"."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

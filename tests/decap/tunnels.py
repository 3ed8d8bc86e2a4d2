# SPDX-License-Identifier: Apache-2.0
"""Frames by scapy, and the runner that sends them through the program."""
import os
import pathlib
import subprocess

from scapy.all import Dot1AD, Dot1Q, Ether, IP, IPv6, Raw, TCP, UDP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("WEIR_BUILD", "build")
RUNNER = BUILD / "tests/decap/decap_frames"

OWN = {4: "198.51.100.11", 6: "2001:db8:b::11"}
SOURCE = {4: "198.18.7.9", 6: "2001:db8:e::77"}
FROM = ("198.18.0.0/16", "2001:db8:e::/64")
STRANGER = {4: "198.19.0.1", 6: "2001:db8:e:1::77"}
CLIENT = {4: "192.0.2.1", 6: "2001:db8:1::1"}
VIP = {4: "203.0.113.10", 6: "2001:db8:f::10"}
NUMBER = {4: 4, 6: 41}  # IANA protocol numbers of IPv4 and IPv6 inside something
PASS, DROP = 2, 1  # XDP actions
MAC = {"dst": "02:00:00:00:00:04", "src": "02:00:00:00:00:03"}
TAGS = {0: [], 1: [Dot1Q(vlan=100, prio=3)], 2: [Dot1AD(vlan=200), Dot1Q(vlan=100)]}


def ip(family, source, destination, ecn=0, **fields):
    """An IP header; `ecn` goes with DSCP 46."""
    if family == 4:
        return IP(src=source, dst=destination, tos=46 << 2 | ecn, **{"ttl": 63, "id": 7, "flags": "DF", **fields})
    return IPv6(src=source, dst=destination, tc=46 << 2 | ecn, fl=0x12345, **{"hlim": 63, **fields})


def inner(family, ecn=0, **fields):
    header = ip(family, CLIENT[family], VIP[family], ecn, **fields)
    return header / TCP(sport=40000, dport=80, flags="PA") / Raw(b"GET /\n")


def gue(family, first=0, protocol=None, flags=b"\0\0"):
    return Raw(bytes([first, NUMBER[family] if protocol is None else protocol]) + flags)


def outer(family, protocol, ecn=0, source=None, destination=None, **fields):
    name = "proto" if family == 4 else "nh"
    return ip(family, source or SOURCE[family], destination or OWN[family], ecn, **{name: protocol, **fields})


def udp(**fields):
    return UDP(**{"sport": 50000, "dport": 6080, "chksum": 0, **fields})


def wrap(kind, outer_family, packet, inner_family, ecn=0, **fields):
    """`packet` in a tunnel: `kind` is ipip, gue0 or gue1."""
    if kind == "ipip":
        return outer(outer_family, NUMBER[inner_family], ecn, **fields) / Raw(bytes(packet))
    content = gue(inner_family) / Raw(bytes(packet)) if kind == "gue0" else Raw(bytes(packet))
    return outer(outer_family, 17, ecn, **fields) / udp() / content


def frame(packet, tags=0, ether_type=None):
    """`packet` behind an Ethernet header with so many VLAN tags."""
    header = Ether(**MAC)
    for tag in TAGS[tags]:
        header = header / tag
    header.lastlayer().type = ether_type or (0x0800 if bytes(packet)[0] >> 4 == 4 else 0x86dd)
    return bytes(header) + bytes(packet)


class Runner:
    """The program in the kernel, fed with frames."""

    def __init__(self, *words):
        self.process = subprocess.Popen([str(RUNNER), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, data):
        """(verdict, action, bytes that come out)"""
        self.process.stdin.write(data.hex() + "\n")
        self.process.stdin.flush()
        verdict, action, out = self.process.stdout.readline().split()
        return verdict, int(action), bytes.fromhex(out)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def verdict_names():
    return subprocess.check_output([str(RUNNER), "--verdicts"], text=True).split()

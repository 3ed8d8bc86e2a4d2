# SPDX-License-Identifier: Apache-2.0
"""The flow hash and what is spread by it, in another notation than dataplane/core/flow.hpp.

Addresses and ports are rows of bytes, cut into words of four bytes that are read little-endian. With w the words and
k the keys (all 32 bits), NH is the sum over pairs of (w[2i] + k[2i] mod 2^32) * (w[2i+1] + k[2i+1] mod 2^32); the hash
is (NH ^ NH >> 32) * multiplier, all modulo 2^64. The keys are XXH64 of the seed under the numbers 0..12.
"""
import ipaddress
from dataclasses import dataclass

M32, M64 = 2**32 - 1, 2**64 - 1


def xxh64(data, seed):
    """XXH64 of at most 31 bytes (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & M64

    assert len(data) < 32
    h = (seed + p5 + len(data)) & M64
    while len(data) >= 8:
        lane, data = int.from_bytes(data[:8], "little"), data[8:]
        h ^= rotate(lane * p2 & M64, 31) * p1 & M64
        h = (rotate(h, 27) * p1 + p4) & M64
    if len(data) >= 4:
        h ^= int.from_bytes(data[:4], "little") * p1 & M64
        h, data = (rotate(h, 23) * p2 + p3) & M64, data[4:]
    for byte in data:
        h = rotate(h ^ byte * p5 & M64, 11) * p1 & M64
    h = (h ^ h >> 33) * p2 & M64
    h = (h ^ h >> 29) * p3 & M64
    return h ^ h >> 32


@dataclass(frozen=True)
class Flow:
    """Client to VIP."""

    source: str
    sport: int
    destination: str
    dport: int
    protocol: str


def flow_of(packet):
    """The flow of a scapy packet."""
    if isinstance(packet, Flow):
        return packet
    ip = packet.getlayer("IP") or packet.getlayer("IPv6")
    segment = packet.getlayer("TCP") or packet.getlayer("UDP")
    return Flow(ip.src, segment.sport, ip.dst, segment.dport, segment.name.lower())


class Reference:
    """The hash under one seed (16 bytes)."""

    def __init__(self, seed):
        self.keys = [xxh64(seed, n) >> 32 for n in range(12)]
        self.multiplier = xxh64(seed, 12) | 1

    def flow_hash(self, flow, on="5tuple"):
        """64 bits."""
        flow = flow_of(flow)
        source = ipaddress.ip_address(flow.source).packed
        destination = ipaddress.ip_address(flow.destination).packed
        ports = flow.sport.to_bytes(2, "big") + flow.dport.to_bytes(2, "big")
        protocol = bytes([{"tcp": 6, "udp": 17}[flow.protocol], 0, 0, 0])
        if len(source) == 4:
            whole, alone = source + ports + destination + protocol, source + bytes(4)
        else:
            whole, alone = source + destination + ports + protocol, source
        text = alone if on == "source" else whole
        words = [int.from_bytes(text[i : i + 4], "little") for i in range(0, len(text), 4)]
        sums = [(w + k) & M32 for w, k in zip(words, self.keys)]
        nh = sum(a * b for a, b in zip(sums[::2], sums[1::2])) & M64
        return (nh ^ nh >> 32) * self.multiplier & M64

    def row(self, flow, rows, on="5tuple"):
        """The row of a table of `rows` rows: the hash's upper bits."""
        return self.flow_hash(flow, on) * rows >> 64

    def spread(self, flow, on="5tuple"):
        """32 bits."""
        return (self.flow_hash(flow, on) * 0x9E3779B97F4A7C15 & M64) >> 32

    def spread4(self, prefix, flow, on="5tuple"):
        """The outer IPv4 source: the prefix, its host bits from the spread."""
        network = ipaddress.ip_network(prefix)
        return str(ipaddress.ip_address(int(network.network_address) | self.spread(flow, on) & int(network.hostmask)))

    def spread6(self, prefix, flow, on="5tuple"):
        """The outer IPv6 source; at most its last 32 bits vary."""
        return self.spread4(prefix, flow, on)

    def gue_port(self, flow, on="5tuple"):
        """The outer UDP source port: 49152 and 14 bits."""
        return 49152 + self.spread(flow, on) % 2**14

    def flow_label(self, flow, on="5tuple"):
        """The outer IPv6 flow label: the spread's upper 20 bits."""
        return self.spread(flow, on) // 2**12

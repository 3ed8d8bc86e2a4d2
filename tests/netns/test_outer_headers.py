# SPDX-License-Identifier: Apache-2.0
"""What stands in front of a packet in a tunnel, byte by byte as scapy reads it, and how it spreads flows."""

import contextlib
import ipaddress

import pytest

import layout as place
import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, TUNNELS

FLOWS, TOS = 1000, 0xB9  # expedited forwarding, ECT(1)


@pytest.fixture(scope="module")
def wrapped(bed):
    """An lbd with all tunnel services; nothing unwraps, so that a capture at a backend shows the outer headers."""
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure([s for way in TUNNELS for s in way.services(bed, ("udp",))], extra=TUNNEL)
        yield balancer.start().wait_resolved()


def arrivals(balancer, way, datagrams) -> list:
    """(backend, datagram) of every tunnel packet that these datagrams of the client became, outer header first."""
    outer = "ip" if way.backend_family == 4 else "ip6"
    with traffic.Captures(balancer.bed, HOSTS, "b0", outer) as taps, wire.Station(balancer.bed) as client:
        client.send(*datagrams)
    found = [(host, frame[14:]) for host, tap in taps.items() for frame in wire.raw_packets(tap)]
    is_tunnel = {4: lambda d: d[9] in (4, 41, 17), 6: lambda d: d[6] in (4, 41, 17)}[way.backend_family]
    return [(host, datagram) for host, datagram in found if is_tunnel(datagram)]


def taken_apart(way, datagram: bytes) -> dict:
    """Outer header, what is between, and the inner datagram. AssertionError where RFC 2003, 2473, 6935 or the GUE
    draft (variant 0) say otherwise."""
    if way.backend_family == 4:
        outer, rest = wire.IP(datagram[:20]), datagram[20:]
        assert wire.checksum(datagram[:20]) == 0
        assert (outer.ihl, outer.id, str(outer.flags), outer.frag, outer.ttl) == (5, 0, "DF", 0, 64)
        assert outer.len == len(datagram)
        traffic_class, protocol = outer.tos, outer.proto
    else:
        outer, rest = wire.IPv6(datagram[:40]), datagram[40:]
        assert (outer.hlim, outer.plen) == (64, len(rest))
        traffic_class, protocol = outer.tc, outer.nh
    spread = outer.src
    inner_protocol = 4 if way.family == 4 else 41
    if way.mode == "gue":
        assert protocol == 17
        port, destination, length, value = (int.from_bytes(rest[at:at + 2], "big") for at in (0, 2, 4, 6))
        assert (destination, length, value) == (6080, len(rest), 0) and port >= 49152
        assert rest[8:12] == bytes([0, inner_protocol, 0, 0])
        spread, rest = (outer.src, port), rest[12:]
    else:
        assert protocol == inner_protocol
    return {"outer": outer, "class": traffic_class, "inner": rest, "spread": spread}


@pytest.mark.parametrize("way", TUNNELS, **NAMES)
def test_flows_are_spread_and_each_stays_where_it_is(wrapped, way):
    """S2: a thousand flows show at least 900 different UDP source ports (gue) or outer sources (ipip); a flow's two
    packets show the same one. Headers are as the RFCs say; what is inside has one hop less and is else untouched."""
    fields = {"tos": TOS, "ttl": 50, "id": 7} if way.family == 4 else {"tc": TOS, "hlim": 50}
    header = wire.network(way.client, way.vip, **fields)
    with wire.Station(wrapped.bed) as client:
        frames = [client.frame(header / wire.UDP(sport=10000 + flow, dport=way.udp_port) / b"x")
                  for flow in range(FLOWS)]
    seen = arrivals(wrapped, way, frames * 2)
    assert len(seen) == 2 * FLOWS

    spreads, sent = {}, {frame[14:] for frame in frames}
    prefix = ipaddress.ip_network(place.TUNNEL4 if way.backend_family == 4 else place.TUNNEL6)
    for host, datagram in seen:
        parts = taken_apart(way, datagram)
        assert ipaddress.ip_address(parts["outer"].src) in prefix
        assert parts["outer"].dst == wrapped.bed.backend(host).address(way.backend_family)
        assert parts["class"] == TOS
        inner = hop_restored(way.family, parts["inner"], 50)
        assert inner in sent
        spreads.setdefault(inner, set()).add((host, parts["spread"]))
    assert len(spreads) == FLOWS and all(len(places) == 1 for places in spreads.values())
    outer = {spread for places in spreads.values() for _, spread in places}
    ports = {spread[1] for spread in outer} if way.mode == "gue" else outer
    assert len(ports) >= 900


def hop_restored(family: int, datagram: bytes, hops: int) -> bytes:
    """The datagram as it was before the balancer took one hop from it; AssertionError unless that is what it did."""
    if family == 6:
        assert datagram[7] == hops - 1
        return datagram[:7] + bytes([hops]) + datagram[8:]
    assert datagram[8] == hops - 1 and wire.checksum(datagram[:20]) == 0
    header = wire.IP(datagram[:20])
    header.ttl, header.chksum = hops, None
    return bytes(header) + datagram[20:]

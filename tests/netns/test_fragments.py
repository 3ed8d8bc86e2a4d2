# SPDX-License-Identifier: Apache-2.0
"""M18: fragments are dropped and counted: without ports nobody can say whose they are."""

import contextlib

import pytest

import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, MODES, WAYS, all_services


@pytest.fixture(scope="module")
def ways(bed):
    """An lbd with every way's UDP service, hashing on ports."""
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed, ("udp",)), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def pieces(way, port: int = 40000) -> list:
    """A UDP datagram of 3000 bytes in three fragments, as IP datagrams."""
    whole = bytes(wire.network(way.client, way.vip) / wire.UDP(sport=port, dport=way.udp_port) / (b"f" * 2992))
    header, body = (20, whole[20:]) if way.family == 4 else (40, whole[40:])
    assert len(body) == 3000 and header
    found = []
    for at in range(0, 3000, 1000):
        part, more = body[at:at + 1000], at + 1000 < 3000
        if way.family == 4:
            fields = {"proto": 17, "id": 4711, "frag": at // 8, "flags": "MF" if more else 0}
            found.append(wire.network(way.client, way.vip, **fields) / part)
        else:
            extra = bytes([17, 0]) + (at | more).to_bytes(2, "big") + (4711).to_bytes(4, "big")
            found.append(wire.network(way.client, way.vip, nh=44) / (extra + part))
    return found


def test_fragments_are_dropped_and_counted(ways):
    """First and later fragments, in every mode: each counted as `fragment`, none at any backend."""
    before = ways.verdicts()
    with traffic.Captures(ways.bed, HOSTS, "b0") as taps, wire.Station(ways.bed) as client:
        for way in WAYS:
            client.send(*pieces(way))
    assert ways.verdicts()["fragment"] - before["fragment"] == 3 * len(WAYS)
    assert wire.arrived(ways.bed, taps, b"ffff") == {}


def test_an_atomic_ipv6_fragment_is_a_whole_datagram(ways):
    """RFC 6946: a fragment header with offset 0 and no more to come: forwarded in every mode, ports and all."""
    before = ways.verdicts()
    with wire.Station(ways.bed) as client:
        for way in (way for way in WAYS if way.family == 6):
            datagram = bytes(wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / b"atom")
            client.send(wire.network(way.client, way.vip, nh=44) / (bytes([17, 0, 0, 0, 0, 0, 0, 9]) + datagram[40:]))
    after = ways.verdicts()
    counted = {mode: after[f"forwarded_{mode}"] - before[f"forwarded_{mode}"] for mode in MODES}
    assert counted == {"nat": 1, "l2dsr": 1, "ipip": 2, "gue": 2}
    assert after["fragment"] == before["fragment"]

# SPDX-License-Identifier: Apache-2.0
"""M19: IPv6 extension headers in front of TCP and UDP: a few are walked, too many are a counted drop, in every mode."""

import contextlib

import pytest

import layout as place
import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, MODES, WAYS, all_services

HOP_BY_HOP, UDP, ROUTING, DESTINATION = 0, 17, 43, 60
SIX = [way for way in WAYS if way.family == 6]
MANY = [HOP_BY_HOP] + [DESTINATION] * 11


@pytest.fixture(scope="module")
def ways(bed):
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed, ("udp",)), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def marker(way) -> bytes:
    return f"extended-{way.name}.".encode()


def behind(way, headers):
    """A UDP datagram with the way's marker behind these extension headers, each of 8 bytes of padding."""
    datagram = bytes(wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / marker(way))
    padding, chain = bytes([1, 4, 0, 0, 0, 0]), b""
    for kind, following in zip(headers, [*headers[1:], UDP]):
        chain += bytes([following, 0]) + (padding if kind != ROUTING else bytes(6))
    return wire.network(way.client, way.vip, nh=headers[0] if headers else UDP) / (chain + datagram[40:])


@pytest.mark.parametrize("headers", [[HOP_BY_HOP], [DESTINATION], [HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION]],
                         ids=["hop-by-hop", "destination", "four"])
def test_a_few_extension_headers_are_walked(ways, headers):
    """In every mode the datagram arrives, with all its headers, at the backend that the same one without them gets."""
    before = ways.verdicts()
    with traffic.Captures(ways.bed, HOSTS, "b0") as taps, wire.Station(ways.bed) as client:
        for way in SIX:
            client.send(behind(way, []), behind(way, headers))
    for way in SIX:
        ((first, second),) = wire.arrived(ways.bed, taps, marker(way)).values()
        assert len(second) - len(first) == 8 * len(headers), way
    after = ways.verdicts()
    counted = {mode: after[f"forwarded_{mode}"] - before[f"forwarded_{mode}"] for mode in MODES}
    assert counted == {"nat": 2, "l2dsr": 2, "ipip": 4, "gue": 4}


def test_twelve_extension_headers_are_too_many(ways):
    """In every mode: counted as `extension_headers`, at no backend."""
    before = ways.verdicts()
    with traffic.Captures(ways.bed, HOSTS, "b0") as taps, wire.Station(ways.bed) as client:
        client.send(*(behind(way, MANY) for way in SIX))
    assert ways.verdicts()["extension_headers"] - before["extension_headers"] == len(SIX)
    assert wire.arrived(ways.bed, taps, b"extended") == {}


def test_extension_headers_of_others_are_not_weirs_affair(ways):
    """The balancer's own address, twelve headers: up to the kernel, not dropped."""
    before = ways.verdicts()
    other = behind(SIX[0], MANY)
    other.dst = place.BALANCER6
    with wire.Station(ways.bed) as client:
        client.send(other)
    after = ways.verdicts()
    assert after["extension_headers"] == before["extension_headers"]
    assert after["not_ours"] > before["not_ours"]

# SPDX-License-Identifier: Apache-2.0
"""M19: IPv6 extension headers in front of TCP and UDP: a few are walked, too many are a counted drop, in every mode."""

import contextlib

import pytest

import layout as place
import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, WAYS, all_services

HOP_BY_HOP, ROUTING, DESTINATION = 0, 43, 60
MANY = [HOP_BY_HOP] + [DESTINATION] * 11


@pytest.fixture(scope="module")
def ways(bed):
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed, ("udp",)), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def behind(way, headers):
    """A UDP datagram behind these extension headers, each of 8 bytes of padding."""
    datagram = bytes(wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / b"extended")
    padding, chain = bytes([1, 4, 0, 0, 0, 0]), b""
    for number in range(len(headers)):
        following = headers[number + 1] if number + 1 < len(headers) else 17
        chain += bytes([following, 0]) + (padding if headers[number] != ROUTING else bytes(6))
    return wire.network(way.client, way.vip, nh=headers[0]) / (chain + datagram[40:])


@pytest.mark.parametrize("way", [way for way in WAYS if way.family == 6], **NAMES)
@pytest.mark.parametrize("headers", [[HOP_BY_HOP], [DESTINATION], [HOP_BY_HOP, DESTINATION, ROUTING, DESTINATION]],
                         ids=["hop-by-hop", "destination", "four"])
def test_a_few_extension_headers_are_walked(ways, way, headers):
    """The datagram arrives with all its headers at the backend that the same datagram without them gets."""
    before, bed = ways.verdicts(), ways.bed
    plain = wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / b"extended"
    with contextlib.ExitStack() as stack:
        taps = {h: stack.enter_context(traffic.Capture(bed, h, "b0")) for h in HOSTS}
        with wire.Station(bed) as client:
            client.send(plain, behind(way, headers))
    got = {h: [wire.layer3(f) for f in wire.packets(t) if b"extended" in bytes(f)] for h, t in taps.items()}
    ((first, second),) = [datagrams for datagrams in got.values() if datagrams]
    assert len(second) - len(first) == 8 * len(headers)
    after = ways.verdicts()
    assert after[f"forwarded_{way.mode}"] - before[f"forwarded_{way.mode}"] == 2


@pytest.mark.parametrize("way", [way for way in WAYS if way.family == 6], **NAMES)
def test_twelve_extension_headers_are_too_many(ways, way):
    """Counted as `extension_headers`, at no backend."""
    before = ways.verdicts()
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(traffic.Capture(ways.bed, host, "b0")) for host in HOSTS]
        with wire.Station(ways.bed) as client:
            client.send(behind(way, MANY))
    assert ways.verdicts()["extension_headers"] - before["extension_headers"] == 1
    assert [f for tap in taps for f in wire.packets(tap) if b"extended" in bytes(f)] == []


def test_extension_headers_of_others_are_not_weirs_affair(ways):
    """The balancer's own address, twelve headers: up to the kernel, not dropped."""
    before = ways.verdicts()
    way = next(way for way in WAYS if way.family == 6)
    other = behind(way, MANY)
    other.dst = place.BALANCER6
    with wire.Station(ways.bed) as client:
        client.send(other)
    after = ways.verdicts()
    assert after["extension_headers"] == before["extension_headers"]
    assert after["not_ours"] > before["not_ours"]

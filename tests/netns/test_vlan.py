# SPDX-License-Identifier: Apache-2.0
"""S19: VLAN tags go with the packet, in every mode, through the tunnels' outer headers and in Weir's own answers.
The kernel of the bed has no VLAN devices, so raw sockets send the tags and captures show them."""

import contextlib

import pytest

import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import DIRECT, HOSTS, NAMES, TUNNELS, WAYS, all_services

TAGS = [(42,), (7, 42)]


@pytest.fixture(scope="module", params=["routed", "switch"])
def ways(request):
    bed = request.getfixturevalue("bed" if request.param == "routed" else "switch_bed")
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed, ("udp",)), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def taken(frame: bytes) -> tuple:
    """(tag ids, EtherType behind them, the rest) of a frame."""
    tags, at = [], 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        assert frame[at + 2] >> 5 == 3, "the priority of a tag has changed"
        tags.append(int.from_bytes(frame[at + 2:at + 4], "big") & 0xFFF)
        at += 4
    return tuple(tags), frame[at:at + 2].hex(), frame[at + 2:]


@pytest.mark.parametrize("tags", TAGS, ids=["one-tag", "two-tags"])
def test_tags_are_kept_on_the_way_to_the_backend(ways, tags):
    """In every mode the backend's frame has the client's tags and priority, then the EtherType of the outer header."""
    marker = {way: f"tagged-{way.name}.".encode() for way in WAYS}
    datagram = {way: wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / marker[way]
                for way in WAYS}
    with traffic.Captures(ways.bed, HOSTS, "b0") as taps, wire.Station(ways.bed) as client:
        client.send(*datagram.values(), tags=tags)
    for way in WAYS:
        ((host, (frame,)),) = wire.arrived(ways.bed, taps, marker[way]).items()
        seen, kind, rest = taken(bytes(frame))
        assert (seen, kind) == (tags, "0800" if way.backend_family == 4 else "86dd"), way
        outer = wire.IP(rest[:20]) if way.backend_family == 4 else wire.IPv6(rest[:40])
        assert outer.dst == (way.vip if way.mode == "l2dsr" else ways.bed.backend(host).address(way.backend_family))
        assert len(rest) == len(bytes(datagram[way])) + way.overhead


@pytest.mark.parametrize("tags", TAGS, ids=["one-tag", "two-tags"])
@pytest.mark.parametrize("way", [way for way in DIRECT if way.mode == "nat"], **NAMES)
def test_tags_are_kept_on_the_way_back(ways, way, tags):
    """nat: a backend's tagged answer arrives at the client from the VIP, tagged the same."""
    backend = ways.bed.backend("b1")
    answer = wire.network(backend.address(way.family), way.client) / \
        wire.UDP(sport=way.udp_port, dport=40000) / b"tagged-answer"
    ways.bed.run("lb", "ping", "-c1", "-W2", way.client)  # the kernel, whose routes are used, knows the client's MAC
    with traffic.Capture(ways.bed, "client", "c0") as tap, wire.Station(ways.bed, "b1") as station:
        station.send(answer, tags=tags)
    (frame,) = [f for f in map(bytes, wire.packets(tap)) if b"tagged-answer" in f
                and f[:6].hex(":") == wire.mac(ways.bed, "client", "c0")]
    seen, kind, rest = taken(frame)
    assert (seen, kind) == (tags, "0800" if way.family == 4 else "86dd")
    assert (wire.IP if way.family == 4 else wire.IPv6)(rest).src == way.vip


@pytest.mark.parametrize("way", [TUNNELS[0], TUNNELS[3]], **NAMES)
def test_weirs_own_answers_keep_the_tags(ways, way):
    """An echo reply and a too-big message go back with the tag that the packet came with."""
    echo = wire.network(way.client, way.vip) / \
        (wire.ICMP(type=8, id=9) if way.family == 4 else wire.ICMPv6EchoRequest(id=9))
    long = wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port)
    long = long / (b"l" * (1500 - len(long)))
    with traffic.Capture(ways.bed, "client", "c0") as tap, wire.Station(ways.bed) as client:
        client.send(echo, long, tags=(42,))
    frames = [f for f in map(bytes, wire.packets(tap)) if f[6:12].hex(":") == client.balancer_mac]
    answers = [taken(frame) for frame in frames if frame[:6].hex(":") == client.mac]
    answers = [a for a in answers if a[0]]
    assert [(seen, kind) for seen, kind, _ in answers] == [((42,), "0800" if way.family == 4 else "86dd")] * 2

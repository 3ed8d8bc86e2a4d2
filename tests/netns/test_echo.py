# SPDX-License-Identifier: Apache-2.0
"""Ping of a VIP: Weir answers, whatever the mode, and no more often than it is told to."""

import contextlib
import time

import pytest

import layout as place
import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import WAYS

SERVICES = [way for way in WAYS if way.family == way.backend_family]


def start(balancer, extra: str = ""):
    services = [s for way in SERVICES for s in way.services(balancer.bed, ("tcp",))]
    return balancer.configure(services, extra=extra + TUNNEL).start().wait_resolved()


def echo(client: str, vip: str, sequence: int, size: int = 32):
    header = wire.network(client, vip)
    if ":" not in vip:
        return header / wire.ICMP(type=8, id=77, seq=sequence) / (b"p" * size)
    return header / wire.ICMPv6EchoRequest(id=77, seq=sequence, data=b"p" * size)


def pings(vip: str, count: int) -> list:
    client = place.CLIENT6 if ":" in vip else place.CLIENT4
    return [echo(client, vip, number) for number in range(count)]


@pytest.fixture(scope="module", params=["routed", "switch"])
def answering(request):
    bed = request.getfixturevalue("bed" if request.param == "routed" else "switch_bed")
    with contextlib.contextmanager(running)(bed) as balancer:
        yield start(balancer)


@pytest.mark.parametrize("way", SERVICES, ids=lambda way: f"{way.mode}-v{way.family}")
def test_a_vip_answers_ping(answering, way):
    """Echo requests of 8 to 1400 bytes come back, checked by ping byte for byte; nothing is lost, and no backend is
    asked."""
    bed, before = answering.bed, answering.verdicts()
    for size in ("8", "1400"):
        bed.run("client", "ping", "-c3", "-i0.02", "-W2", "-s", size, "-p", "c0ffee11", way.vip)
    after = answering.verdicts()
    assert after["answered_echo"] - before["answered_echo"] == 6
    assert {n: c for n, c in after.items() if n.startswith("forwarded")} == \
        {n: c for n, c in before.items() if n.startswith("forwarded")}


@pytest.mark.parametrize("vip", [place.VIP4_NAT, place.VIP6_GUE])
def test_an_echo_reply_is_the_request_turned_round(answering, vip):
    """Source and destination change places, TTL or hop limit is 64, checksums hold, identifier and data stay."""
    client = place.CLIENT6 if ":" in vip else place.CLIENT4
    with traffic.Capture(answering.bed, "client", "c0", "icmp or icmp6") as tap, wire.Station(answering.bed) as sender:
        sender.send(echo(client, vip, 5))
    (reply,) = [f for f in wire.packets(tap) if wire.layer3(f) and f.payload.src == vip]
    assert (reply.src, reply.dst) == (sender.balancer_mac, sender.mac)
    datagram = wire.layer3(reply)
    message = wire.icmp_message(datagram)
    assert reply.payload.dst == client and datagram[8 if ":" not in vip else 7] == 64
    asked = wire.layer3(wire.Ether(sender.frame(echo(client, vip, 5))))
    assert message[4:] == asked[-len(message) + 4:] and message[:2] == (b"\x81\x00" if ":" in vip else b"\x00\x00")


@pytest.mark.parametrize("vip", [place.VIP4_NAT, place.VIP6_IPIP])
def test_ping_is_rate_limited(balancer, vip):
    """icmp-rate = 20: of 400 requests at once at most 20 a second and CPU are answered; all are counted."""
    start(balancer, "icmp-rate = 20\n")
    requests = pings(vip, 400)
    with wire.Station(balancer.bed) as client:
        frames = [client.frame(request) for request in requests]
        begin = time.monotonic()
        client.send(*frames)
        seconds = time.monotonic() - begin
    counts = balancer.verdicts()
    assert counts["answered_echo"] + counts["answer_rate_limited"] == 400
    assert 1 <= counts["answered_echo"] <= 2 * 20 * (1 + seconds) + 2
    time.sleep(1.1)
    balancer.bed.run("client", "ping", "-c1", "-W2", vip)


def test_rate_zero_answers_nothing(balancer):
    """icmp-rate = 0: not one answer, every request counted as limited."""
    start(balancer, "icmp-rate = 0\n")
    with wire.Station(balancer.bed) as client:
        client.send(*pings(place.VIP4_NAT, 10), *pings(place.VIP6_NAT, 10))
    counts = balancer.verdicts()
    assert (counts["answered_echo"], counts["answer_rate_limited"]) == (0, 20)

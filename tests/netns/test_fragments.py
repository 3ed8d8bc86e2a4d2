# SPDX-License-Identifier: Apache-2.0
"""M18: fragments are dropped and counted, but a service that hashes on addresses forwards them, all to one backend."""

import contextlib
import socket

import pytest

import servers
import traffic
import unwrap
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import DIRECT, HOSTS, NAMES, TUNNELS, WAYS

WANT_NO_DISCOVERY, MTU_DISCOVER4 = 0, 10  # IP_PMTUDISC_DONT, IP_MTU_DISCOVER: the socket module has no names for them
LONG = 4000


@pytest.fixture(scope="module")
def by_address(bed):
    """An lbd with every way's UDP service alone at its VIP, hashing on the client's address; lb-decap on backends."""
    ways = [way for way in WAYS if way.family == way.backend_family]
    services = [service for way in ways for service in way.services(bed, ("udp",), hash="source")]
    with unwrap.unwrapping(bed), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(services, extra=TUNNEL)
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


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_fragments_are_dropped_and_counted_unless_a_service_hashes_addresses(bed, balancer, way):
    """First and later fragments alike: three sent, three counted as `fragment`, none at any backend."""
    balancer.configure(way.services(bed, ("udp",)), extra=TUNNEL).start().wait_resolved()
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(traffic.Capture(bed, host, "b0")) for host in HOSTS]
        with wire.Station(bed) as client:
            client.send(*pieces(way))
    assert balancer.verdicts()["fragment"] == 3
    assert [f for tap in taps for f in wire.packets(tap) if b"ffff" in bytes(f)] == []


@pytest.mark.parametrize("way", [way for way in WAYS if way.family == way.backend_family], **NAMES)
def test_all_fragments_go_to_the_backend_that_whole_datagrams_go_to(by_address, way):
    """Fragments in any order, of datagrams from 20 ports: one backend gets all, the one that gets unfragmented ones;
    its kernel puts them together and answers, and the answer of 3000 bytes arrives at the client."""
    bed = by_address.bed
    with contextlib.ExitStack() as stack:
        for host in HOSTS:
            stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, way.udp_port, way.listen)))
        names = set()
        for size in [10, 3000] * 10:
            with traffic.datagram_socket(bed, way.family) as sender:
                if way.family == 4:
                    sender.setsockopt(socket.IPPROTO_IP, MTU_DISCOVER4, WANT_NO_DISCOVERY)
                sender.connect((way.vip, way.udp_port))
                name, body = exchange(sender, b"f" * size)
                assert body == b"f" * size
                names.add(name)
        assert len(names) == 1
        taps = {h: stack.enter_context(traffic.Capture(bed, h, "b0")) for h in HOSTS}
        with wire.Station(bed) as client:
            client.send(*reversed(pieces(way)))
    got = {host: [f for f in wire.packets(tap) if b"ffff" in bytes(f)] for host, tap in taps.items()}
    at = {host for host, frames in got.items() if any(f.dst == wire.mac(bed, host, "b0") for f in frames)}
    assert {host.encode() for host in at} == names


def exchange(sender: socket.socket, data: bytes) -> tuple:
    """One datagram and its answer as (name, body). The first may be lost where the path's MTU is to be learned; a
    resolver asks again, too."""
    for attempt in range(3):
        sender.settimeout(0.7)
        try:
            sender.send(data)
            name, _, body = sender.recv(65536).partition(b":")
            return name, body
        except (TimeoutError, OSError):
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


@pytest.mark.parametrize("way", [DIRECT[0], DIRECT[1], TUNNELS[0], TUNNELS[3]], **NAMES)
def test_a_first_fragment_for_another_port_has_no_service(bed, balancer, way):
    """A service that takes fragments has one port: a first fragment that names another is dropped as `no_service`."""
    balancer.configure(way.services(bed, ("udp",), hash="source"), extra=TUNNEL).start().wait_resolved()
    wrong = bytearray(bytes(pieces(way)[0]))
    at = 20 if way.family == 4 else 48
    wrong[at + 2:at + 4] = (9).to_bytes(2, "big")
    with wire.Station(bed) as client:
        client.send(bytes(client.frame(bytes(wrong))))
    counts = balancer.verdicts()
    assert (counts["no_service"], counts["fragment"]) == (1, 0)


@pytest.mark.parametrize("way", [way for way in WAYS if way.family == 6], **NAMES)
def test_an_atomic_ipv6_fragment_is_a_whole_datagram(bed, balancer, way):
    """RFC 6946: a fragment header with offset 0 and no more to come: forwarded, ports and all."""
    balancer.configure(way.services(bed, ("udp",)), extra=TUNNEL).start().wait_resolved()
    datagram = bytes(wire.network(way.client, way.vip) / wire.UDP(sport=40000, dport=way.udp_port) / b"atom")
    atomic = wire.network(way.client, way.vip, nh=44) / (bytes([17, 0, 0, 0, 0, 0, 0, 9]) + datagram[40:])
    with wire.Station(bed) as client:
        client.send(atomic)
    counts = balancer.verdicts()
    assert (counts[f"forwarded_{way.mode}"], counts["fragment"]) == (1, 0)

# SPDX-License-Identifier: Apache-2.0
"""M18: a service that hashes on addresses alone takes fragments; all of a client's go to one backend."""

import contextlib
import socket

import pytest

import servers
import traffic
import unwrap
import wire
from conftest import running
from daemon import TUNNEL
from test_fragments import pieces
from tunnel_cases import HOSTS, NAMES, WAYS

NO_DISCOVERY, MTU_DISCOVER4 = 0, 10  # IP_PMTUDISC_DONT, IP_MTU_DISCOVER: the socket module has no names for them
ALONE = [way for way in WAYS if way.family == way.backend_family]


@pytest.fixture(scope="module")
def by_address(bed):
    """An lbd with every way's UDP service alone at its VIP, hashing on the client's address; lb-decap on backends."""
    services = [service for way in ALONE for service in way.services(bed, ("udp",), hash="source")]
    with unwrap.unwrapping(bed), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(services, extra=TUNNEL)
        yield balancer.start().wait_resolved()


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


@pytest.mark.parametrize("way", ALONE, **NAMES)
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
                    sender.setsockopt(socket.IPPROTO_IP, MTU_DISCOVER4, NO_DISCOVERY)
                sender.connect((way.vip, way.udp_port))
                name, body = exchange(sender, b"f" * size)
                assert body == b"f" * size
                names.add(name)
        assert len(names) == 1
        receiver = stack.enter_context(traffic.datagram_socket(bed, way.family))
        receiver.bind(("", 40000))  # nobody there would mean an ICMP error, which finds the backend as well
        with traffic.Captures(bed, HOSTS, "b0") as taps, wire.Station(bed) as client:
            client.send(*reversed(pieces(way)))
    got = wire.arrived(bed, taps, b"ffff")
    assert {host.encode(): len(frames) for host, frames in got.items()} == dict.fromkeys(names, 3)


@pytest.mark.parametrize("way", ALONE, **NAMES)
def test_a_first_fragment_for_another_port_has_no_service(by_address, way):
    """Such a service has one port: a first fragment that names another is dropped as `no_service`."""
    before = by_address.verdicts()
    wrong = bytearray(bytes(pieces(way)[0]))
    at = 20 if way.family == 4 else 48
    wrong[at + 2:at + 4] = (9).to_bytes(2, "big")
    with wire.Station(by_address.bed) as client:
        client.send(client.frame(bytes(wrong)))
    after = by_address.verdicts()
    assert (after["no_service"] - before["no_service"], after["fragment"] - before["fragment"]) == (1, 0)

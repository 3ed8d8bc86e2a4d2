# SPDX-License-Identifier: Apache-2.0
"""S15: a service for every port of a VIP, in every mode; several ports on one VIP; an exact port goes first."""

import contextlib

import pytest

import daemon
import servers
import traffic
import unwrap
import wire
from conftest import running
from daemon import TUNNEL
from layout import endpoint
from tunnel_cases import NAMES, WAYS

ANY = [way for way in WAYS if way.family == way.backend_family]


def any_port(bed, way, name: str, hosts, protocol: str = "tcp"):
    backends = [(host, endpoint(bed.backend(host).address(way.backend_family), 0)) for host in hosts]
    return daemon.Service(name, f"{protocol}:{endpoint(way.vip, 0)}", way.mode, backends)


@pytest.fixture(scope="module")
def every_port(bed):
    """Every VIP: all TCP and UDP ports to b1 and b2, but TCP port 8080 to b3 alone."""
    services = []
    for way in ANY:
        services += [any_port(bed, way, way.name, ("b1", "b2")),
                     any_port(bed, way, f"{way.name}u", ("b1", "b2"), "udp"),
                     daemon.service(bed, f"{way.name}x", way.vip, 8080, way.mode, hosts=("b3",))]
    with unwrap.unwrapping(bed), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(services, extra=TUNNEL)
        yield balancer.start().wait_resolved()


@pytest.mark.parametrize("way", ANY, **NAMES)
def test_every_port_of_the_vip_reaches_the_same_port_of_a_backend(every_port, way):
    """nginx on 80 and 8443 and sshd on 22 by one entry; 8080 has a service of its own and goes only there."""
    bed = every_port.bed
    assert {traffic.who(bed, way.vip, 80) for _ in range(20)} == {"b1", "b2"}
    assert {traffic.who(bed, way.vip, 8080) for _ in range(8)} == {"b3"}
    with traffic.connect(bed, way.vip, 22) as connection:
        assert connection.recv(64).startswith(b"SSH-2.0-")
    secure = traffic.url(way.vip, 8443, "/", "https")
    assert traffic.curl(bed, secure, "-k").strip() in ("b1", "b2")


@pytest.mark.parametrize("way", ANY, **NAMES)
def test_a_closed_port_of_an_any_port_service_is_refused_by_the_backend(every_port, way):
    """A thousand ports need no thousand entries: whatever nobody listens on is answered with the backend's reset."""
    for port in (1, 1000, 1999, 65535):
        with pytest.raises(ConnectionRefusedError):
            traffic.connect(every_port.bed, way.vip, port)


@pytest.mark.parametrize("way", ANY, **NAMES)
def test_any_port_works_for_udp(every_port, way):
    """Datagrams to three ports of the VIP reach servers at these ports, and the answers come from them."""
    bed = every_port.bed
    for port in (5300, 5301, 60000):
        with contextlib.ExitStack() as stack:
            for host in ("b1", "b2"):
                stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, port, way.listen)))
            with traffic.datagram_socket(bed, way.family) as sender:
                sender.connect((way.vip, port))
                sender.send(b"%d" % port)
                assert sender.recv(100) in (b"b1:%d" % port, b"b2:%d" % port)


def test_an_icmp_error_finds_the_flow_of_an_any_port_service(every_port):
    """M16 and S15 together, in nat: the quoted header has the backend's address and the port kept."""
    way, bed = ANY[0], every_port.bed
    with traffic.connect(bed, way.vip, 80) as connection:
        backend, port = traffic.ask(connection), connection.getsockname()[1]
        with traffic.Capture(bed, backend, "b0", "icmp") as tap, wire.Station(bed) as client:
            client.send(wire.too_big(4, 1300, wire.quote_of(way.vip, 80, way.client, port), "192.0.2.77", way.vip))
    assert wire.mtus_told(tap) == {(1300, "192.0.2.77")}
    (message,) = [wire.icmp_message(wire.layer3(frame)) for frame in wire.packets(tap)]
    assert wire.IP(message[8:28]).src == bed.backend(backend).v4
    assert message[28:30] == (80).to_bytes(2, "big")

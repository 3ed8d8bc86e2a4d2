# SPDX-License-Identifier: Apache-2.0
"""ICMP errors find their flow in every mode, in both directions, and the kernels at the ends act on them."""

import contextlib
import re

import pytest

import servers
import traffic
import unwrap
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, WAYS, all_services

ROUTER4, ROUTER6 = "192.0.2.77", "2001:db8:1::77"  # somebody on the way to the client
LEARNED = 1296


@pytest.fixture(scope="module")
def ways(bed):
    """An lbd with all services, and lb-decap on the backends."""
    with unwrap.unwrapping(bed), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def gained(before: dict, after: dict) -> dict:
    return {name: count - before[name] for name, count in after.items() if count != before[name]}


def next_sequence(tap, way, port: int) -> int:
    """The sequence number that the VIP sends next to the client's port `port`, as its captured segments say."""
    ends = []
    for frame in wire.packets(tap):
        if wire.TCP in frame and (frame[wire.TCP].sport, frame[wire.TCP].dport) == (way.port, port):
            datagram, segment = wire.layer3(frame), frame[wire.TCP]
            header = (20 if way.family == 4 else 40) + segment.dataofs * 4
            ends.append(segment.seq + len(datagram) - header + (1 if "S" in segment.flags else 0))
    return max(ends)


def mtu_of_connection(bed, host: str, client_port: int) -> int:
    """What the backend's kernel takes for the path MTU of its connection with that client port."""
    said = bed.run(host, "ss", "-tinH", "dport", "=", f":{client_port}").stdout
    found = re.search(r"\bpmtu:(\d+)", said)
    assert found, f"{host} has no connection with port {client_port}: {said}"
    return int(found.group(1))


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_an_error_with_eight_quoted_bytes_reaches_the_flows_backend(ways, way):
    """M16: fragmentation needed / packet too big about a connection's answers, with the IP header and 8 bytes of TCP:
    the backend that has the connection learns the MTU, and no other backend hears of it."""
    bed, before = ways.bed, ways.verdicts()
    traffic.forget_mtu(bed)
    answers = ("client", "c0") if way.mode == "nat" else ("client", "c1")
    with traffic.Capture(bed, *answers, f"tcp port {way.port}") as tap:
        connection = traffic.connect(bed, way.vip, way.port)
        backend, port = traffic.ask(connection), connection.getsockname()[1]
    assert mtu_of_connection(bed, backend, port) == 1500
    quote = wire.quote_of(way.vip, way.port, way.client, port, sequence=next_sequence(tap, way, port))
    with traffic.Captures(bed, HOSTS, "b0", "icmp or icmp6") as taps:
        with wire.Station(bed) as client:
            router = ROUTER4 if way.family == 4 else ROUTER6
            client.send(wire.too_big(way.family, LEARNED, quote, router, way.vip))
    heard = {host: wire.mtus_told(tap) for host, tap in taps.items()}
    assert heard == {host: {(LEARNED, router)} if host == backend else set() for host in HOSTS}
    assert mtu_of_connection(bed, backend, port) == LEARNED
    with connection:
        assert traffic.ask(connection) == backend
    assert gained(before, ways.verdicts())["forwarded_icmp"] == 1


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_a_backends_port_unreachable_reaches_the_client(ways, way):
    """M16: nobody listens at the backend's UDP port: the client's socket gets "connection refused", in nat by way of
    Weir, which puts the VIP and its port into the quoted header."""
    before = ways.verdicts()
    with traffic.datagram_socket(ways.bed, way.family) as sender:
        sender.connect((way.vip, way.udp_port))
        sender.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            sender.recv(100)
    assert gained(before, ways.verdicts()).get("returned_icmp", 0) == (1 if way.mode == "nat" else 0)


@pytest.mark.parametrize("family", [4, 6])
def test_errors_about_nothing_are_dropped_and_counted(ways, family):
    """M16: an error that quotes no packet, half a header, or a flow of no service: dropped, each with its verdict, and
    no backend sees one."""
    way = next(w for w in WAYS if (w.mode, w.family) == ("nat", family))
    router = ROUTER4 if family == 4 else ROUTER6
    quote = wire.quote_of(way.vip, way.port, way.client, 40000)
    other_port = wire.quote_of(way.vip, 9, way.client, 40000)
    other_host = wire.quote_of(way.client, 40000, way.vip, way.port)  # the client's own packet, not an answer
    cut = [b"", quote[:12], quote[:-5], b"\xff" * len(quote)]
    before = ways.verdicts()
    with traffic.Captures(ways.bed, HOSTS, "b0", "icmp or icmp6") as taps:
        with wire.Station(ways.bed) as client:
            for quoted in cut + [other_port, other_host]:
                client.send(wire.too_big(family, LEARNED, quoted, router, way.vip))
    assert [wire.mtus_told(tap) for tap in taps.values()] == [set()] * 3
    counts = gained(before, ways.verdicts())
    counts = {name: count for name, count in counts.items() if "icmp" in name}
    assert sum(counts.values()) == 6 and set(counts) == {"bad_icmp", "icmp_no_flow"}
    assert counts["icmp_no_flow"] in (2, 3)  # whether half a port is garbage or nobody's flow, a reader may choose


def test_errors_leave_connections_alone(ways):
    """A host-unreachable about a connection in each mode is delivered, and the connection goes on."""
    for way in (w for w in WAYS if w.family == 4):
        with traffic.connect(ways.bed, way.vip, way.port) as connection:
            backend, port = traffic.ask(connection), connection.getsockname()[1]
            quote = wire.quote_of(way.vip, way.port, way.client, port)
            before = traffic.counter(ways.bed, backend, "IcmpInDestUnreachs")
            with wire.Station(ways.bed) as client:
                client.send(wire.network(ROUTER4, way.vip) / wire.ICMP(type=3, code=1) / quote)
            servers.wait_for(lambda: traffic.counter(ways.bed, backend, "IcmpInDestUnreachs") == before + 1, 2,
                             f"{way.name}: the error arrives at {backend}")
            assert traffic.ask(connection) == backend

# SPDX-License-Identifier: Apache-2.0
"""Real HTTP and UDP through every mode and pair of families, backends unwrapping with lb-decap, MTU 1500 everywhere."""

import contextlib

import pytest

import servers
import traffic
import unwrap
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, TUNNELS, WAYS, all_services

MEGABYTE = 1_000_000


@pytest.fixture(scope="module", params=["routed", "switch"])
def ways(request):
    """An lbd with all services, and lb-decap on the backends."""
    bed = request.getfixturevalue("bed" if request.param == "routed" else "switch_bed")
    content = bed.run_dir / "files/megabyte.bin"
    content.write_bytes((bed.run_dir / "files/large.bin").read_bytes()[:MEGABYTE])
    with unwrap.unwrapping(bed), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed), extra=TUNNEL)
        yield balancer.start().wait_resolved()


@pytest.mark.parametrize("way", TUNNELS, **NAMES)
def test_every_backend_answers_through_the_tunnel(ways, way):
    """M5, M19: 40 connections, none fails, each of three backends answers; nginx sees the client and the VIP."""
    bed = ways.bed
    earlier = {host: len(servers.access_log(bed, host)) for host in HOSTS}
    names = [traffic.who(bed, way.vip, way.port) for _ in range(40)]
    assert set(names) == set(HOSTS)
    host = traffic.curl(bed, traffic.url(way.vip, way.port)).strip()
    (entry,) = servers.wait_for(lambda: servers.access_log(bed, host)[earlier[host]:], 2, "a line in nginx' log")
    assert (entry["client"], entry["server"], entry["server_port"]) == (way.client, way.vip, str(way.port))
    service = next(s for s in ways.get("/v1/stats")["services"] if s["name"] == way.name)
    assert service["connections"] >= 41 and service["return_packets"] == 0


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_a_megabyte_arrives_in_both_directions_without_tuning(ways, way):
    """M17: up and down, byte for byte. In the tunnel modes the client learns the MTU from Weir: one message names the
    VIP as its sender and 1500 less the outer headers as the MTU. No wrong checksum anywhere."""
    bed, content = ways.bed, ways.bed.run_dir / "files/megabyte.bin"
    errors = {host: traffic.counter(bed, host, "TcpInCsumErrors") for host in (*HOSTS, "client")}
    traffic.forget_mtu(bed)
    for host in HOSTS:
        (bed.run_dir / host / "upload/megabyte.bin").unlink(missing_ok=True)
    with traffic.Capture(bed, "client", "c0", "icmp or icmp6") as tap:
        traffic.curl(bed, traffic.url(way.vip, way.port, "/upload/megabyte.bin"), "-f", "-T", content)
        got = bed.run_dir / "got.bin"
        traffic.curl(bed, traffic.url(way.vip, way.port, "/megabyte.bin"), "-f", "-o", got)
    stored = [path for host in HOSTS if (path := bed.run_dir / host / "upload/megabyte.bin").exists()]
    assert [servers.sha256(path) for path in [*stored, got]] == [servers.sha256(content)] * 2
    assert {host: traffic.counter(bed, host, "TcpInCsumErrors") for host in errors} == errors

    assert wire.mtus_told(tap) == ({(1500 - way.overhead, way.vip)} if way.overhead else set())


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_udp_is_answered_in_every_mode(ways, way):
    """M5, M20: 30 datagrams from 30 ports, each answered by the VIP, from every backend."""
    bed, names = ways.bed, set()
    with contextlib.ExitStack() as stack:
        for host in HOSTS:
            stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, way.udp_port, way.listen)))
        for number in range(30):
            with traffic.datagram_socket(bed, way.family) as sender:
                sender.connect((way.vip, way.udp_port))
                sender.send(b"%d" % number)
                name, _, echoed = sender.recv(100).partition(b":")
            assert echoed == b"%d" % number
            names.add(name.decode())
    assert names == set(HOSTS)


def test_what_comes_out_of_the_tunnels_has_right_checksums(ways):
    """M5: tcpdump behind lb-decap finds correct checksums and no incorrect one, in all tunnels."""
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(traffic.Capture(ways.bed, host, "b0", "tcp")) for host in HOSTS]
        for way in TUNNELS:
            for _ in range(3):
                traffic.who(ways.bed, way.vip, way.port)
    lines = [line for tap in taps for line in tap.lines()]
    assert sum("(correct)" in line for line in lines) > 70, "tcpdump has verified too few checksums to tell"
    assert [line for line in lines if "incorrect" in line or "bad cksum" in line] == []


def test_a_tunnel_from_elsewhere_is_not_unwrapped(bed):
    """lb-decap takes tunnels from the prefixes it was given, and no other: a service has no answer then."""
    way = TUNNELS[0]
    with unwrap.unwrapping(bed, sources=("198.18.64.0/24",)), contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(way.services(bed), extra=TUNNEL).start().wait_resolved()
        with pytest.raises(TimeoutError):
            traffic.connect(bed, way.vip, way.port, timeout=1.5)
        assert balancer.verdicts()["forwarded_ipip"] > 0

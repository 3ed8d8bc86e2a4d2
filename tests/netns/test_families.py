# SPDX-License-Identifier: Apache-2.0
"""S14: a backend network of one address family behind VIPs of the other: clients' IPv6 over IPv4, and the reverse."""

import contextlib

import pytest

import servers
import traffic
import unwrap
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, TUNNELS

CROSSED = [way for way in TUNNELS if way.family != way.backend_family]


@contextlib.contextmanager
def network_without(bed, family: int):
    """The links between the balancer and the backends have no address of that family meanwhile, at neither end."""
    option = f"-{family}"
    ends = [("lb", b.lb_interface, b.lb_v4 if family == 4 else b.lb_v6, b) for b in bed.backends]
    ends += [(b.name, "b0", b.address(family), b) for b in bed.backends]
    bits = 26 if family == 4 else 64
    for host, interface, address, _ in ends:
        bed.run(host, "ip", option, "address", "del", f"{address}/{bits}", "dev", interface)
    try:
        yield
    finally:
        for host, interface, address, backend in ends:
            more = ["nodad"] if family == 6 else []
            bed.run(host, "ip", option, "address", "add", f"{address}/{bits}", "dev", interface, *more)
            if host != "lb":
                gateway = backend.lb_v4 if family == 4 else backend.lb_v6
                bed.run(host, "ip", option, "route", "replace", "default", "via", gateway)


@pytest.mark.parametrize("way", CROSSED, **NAMES)
def test_a_vip_is_served_by_a_network_that_does_not_have_its_family(bed, balancer, way):
    """Backends have no address of the VIP's family towards the balancer: HTTP, a large download and UDP work."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(network_without(bed, way.family))
        stack.enter_context(unwrap.unwrapping(bed))
        balancer.configure(way.services(bed), extra=TUNNEL).start().wait_resolved()
        assert {traffic.who(bed, way.vip, way.port) for _ in range(30)} == set(HOSTS)
        got = bed.run_dir / "got.bin"
        traffic.curl(bed, traffic.url(way.vip, way.port, "/large.bin"), "-f", "-o", got)
        assert servers.sha256(got) == servers.sha256(bed.run_dir / "files/large.bin")
        for host in HOSTS:
            stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, way.udp_port, way.listen)))
        with traffic.datagram_socket(bed, way.family) as sender:
            sender.connect((way.vip, way.udp_port))
            sender.send(b"crossed")
            assert sender.recv(100).endswith(b":crossed")

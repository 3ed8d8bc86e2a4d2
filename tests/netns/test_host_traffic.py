# SPDX-License-Identifier: Apache-2.0
"""What is not for a VIP belongs to the kernel: the balancer stays a host that one can reach, and a router."""

import contextlib

import pytest

import daemon
import layout as place
import servers
import traffic
from conftest import running

SSH = ("ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
       "-o", "ConnectTimeout=5", "-o", "BatchMode=yes")


@pytest.fixture(scope="module")
def attached(bed):
    """An lbd with a nat service, its program on every interface."""
    for balancer in running(bed):
        balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080),
                            daemon.service(bed, "web6", place.VIP6_NAT, 80, "nat", 8080)])
        balancer.start().wait_resolved()
        assert daemon.attached(bed) == dict.fromkeys(bed.interfaces, "native")
        yield balancer


@pytest.mark.parametrize("address", [place.BALANCER4, place.BALANCER6])
def test_the_balancer_answers_ping(attached, address):
    """M6: echo to the balancer's own address."""
    attached.bed.run("client", "ping", "-c3", "-i0.05", "-W2", address)


@pytest.mark.parametrize("address", [place.BALANCER4, place.BALANCER6])
def test_neighbour_discovery_works_in_both_directions(attached, address):
    """M6: ARP and ND: client and balancer find each other again after both have forgotten."""
    bed, client = attached.bed, place.CLIENT4 if "." in address else place.CLIENT6
    for host, interface, to, sender in (("client", "c0", address, "client"), ("lb", "l0", client, "lb")):
        bed.run(host, "ip", "neigh", "flush", "dev", interface)
        bed.run(sender, "ping", "-c1", "-W2", to)
        assert "lladdr" in bed.run(host, "ip", "neigh", "show", to, "dev", interface).stdout


@pytest.mark.parametrize("address", [place.BALANCER4, place.BALANCER6])
def test_ssh_to_the_balancer_itself_works(attached, address):
    """M6: a session with 2 MB through it."""
    bed = attached.bed
    sent = bed.run("client", *SSH, "-i", bed.run_dir / "client_key", f"root@{address}",
                   "head -c 2000000 /dev/zero | wc -c && head -c 2000000 /dev/zero", timeout=20)
    assert sent.stdout.startswith("2000000\n") and len(sent.stdout) == 2000000 + len("2000000\n")


def test_closed_ports_of_balancer_and_vip_are_refused_by_the_kernel(attached):
    """M6: a port that no service has is answered by the kernel: a reset, or no route; not swallowed."""
    with pytest.raises(ConnectionRefusedError):
        traffic.connect(attached.bed, place.BALANCER4, 81, timeout=2)


@pytest.mark.parametrize("family", [4, 6])
def test_the_balancer_still_routes_to_backends(attached, family):
    """M6: a connection to a backend's own address passes the kernel's routing, unless a nat service has that port."""
    backend = attached.bed.backend("b2")
    assert traffic.curl(attached.bed, traffic.url(backend.address(family), 80)).strip() == "b2"


def test_large_ping_with_fragments_passes(attached):
    """M6: fragments for the balancer itself are the kernel's to put together."""
    attached.bed.run("client", "ping", "-c2", "-i0.05", "-W2", "-s", "4000", place.BALANCER4)
    attached.bed.run("client", "ping", "-c2", "-i0.05", "-W2", "-s", "4000", place.BALANCER6)


def test_a_backend_that_changes_its_mac_is_followed(attached):
    """Next hops stay fresh: once the kernel knows the new MAC, the next packets carry it."""
    bed = attached.bed
    old = attached.backends("web")["b1"]["next_hop"]["mac"]
    new = "02:00:00:00:b1:01"
    bed.run("b1", "ip", "link", "set", "b0", "address", new)
    try:
        bed.run("b1", "ping", "-c1", "-W2", bed.backend("b1").lb_v4)  # its ARP request tells the balancer's kernel
        servers.wait_for(lambda: attached.backends("web")["b1"]["next_hop"]["mac"] == new, 2, "lbd follows the MAC")
        names = [traffic.who(bed, place.VIP4_NAT, 80) for _ in range(30)]
        assert "b1" in names
    finally:
        bed.run("b1", "ip", "link", "set", "b0", "address", old)
        with contextlib.suppress(Exception):
            bed.run("b1", "ping", "-c1", "-W2", bed.backend("b1").lb_v4)
            bed.run("b1", "ping", "-c1", "-W2", bed.backend("b1").lb_v6)
        servers.wait_for(lambda: attached.backends("web")["b1"]["next_hop"]["mac"] == old, 2, "lbd follows it back")

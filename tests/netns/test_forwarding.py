# SPDX-License-Identifier: Apache-2.0
"""Real HTTP through both modes, both address families and both layouts of the bed."""

import contextlib
from dataclasses import dataclass

import pytest

import daemon
import layout as place
import servers
import traffic
from conftest import running

HOSTS = ("b1", "b2", "b3")


@dataclass
class Case:
    bed: object
    balancer: daemon.Balancer
    mode: str
    family: int
    vip: str

    @property
    def url(self) -> str:
        return traffic.url(self.vip, 80)

    @property
    def client(self) -> str:
        return place.CLIENT4 if self.family == 4 else place.CLIENT6

    @property
    def service(self) -> str:
        return f"{self.mode.removeprefix('l2')}{self.family}"

    def tap(self, host: str):
        """Captures TCP on the link that carries what the balancer sends to `host`."""
        return traffic.Capture(self.bed, host, "c0" if host == "client" else "b0", "tcp")


@pytest.fixture(scope="module", params=["routed", "switch"])
def all_modes(request):
    """An lbd with a service per mode and family."""
    bed = request.getfixturevalue("bed" if request.param == "routed" else "switch_bed")
    for balancer in running(bed):
        balancer.configure([
            daemon.service(bed, "nat4", place.VIP4_NAT, 80, "nat", 8080),
            daemon.service(bed, "nat6", place.VIP6_NAT, 80, "nat", 8080),
            daemon.service(bed, "dsr4", place.VIP4_DSR, 80, "l2dsr"),
            daemon.service(bed, "dsr6", place.VIP6_DSR, 80, "l2dsr"),
            daemon.service(bed, "udp4", place.VIP4_NAT, 5300, "nat", 5353, protocol="udp"),
            daemon.service(bed, "udp6", place.VIP6_NAT, 5300, "nat", 5353, protocol="udp"),
        ])
        balancer.start().wait_resolved()
        yield balancer


@pytest.fixture(params=[("nat", 4), ("nat", 6), ("l2dsr", 4), ("l2dsr", 6)], ids=lambda p: f"{p[0]}-v{p[1]}")
def case(request, all_modes):
    mode, family = request.param
    vips = {("nat", 4): place.VIP4_NAT, ("nat", 6): place.VIP6_NAT,
            ("l2dsr", 4): place.VIP4_DSR, ("l2dsr", 6): place.VIP6_DSR}
    return Case(all_modes.bed, all_modes, mode, family, vips[mode, family])


def test_every_backend_answers_at_the_vip(case):
    """M5, M19: curl gets an answer from each of three backends, and none fails."""
    assert {traffic.curl(case.bed, case.url).strip() for _ in range(3)} <= set(HOSTS)
    names = [traffic.who(case.bed, case.vip, 80) for _ in range(60)]
    assert set(names) == set(HOSTS)


def test_the_backend_sees_the_client_and_the_mode_decides_what_it_is_addressed_as(case):
    """M5: no source NAT; nat changes destination address and port (80 -> 8080), l2dsr neither."""
    earlier = {host: len(servers.access_log(case.bed, host)) for host in HOSTS}
    host = traffic.curl(case.bed, case.url).strip()
    (entry,) = servers.wait_for(lambda: servers.access_log(case.bed, host)[earlier[host]:], 2, "a line in nginx' log")
    own = case.bed.backend(host).address(case.family)
    assert entry["client"] == case.client
    assert (entry["server"], entry["server_port"]) == ((own, "8080") if case.mode == "nat" else (case.vip, "80"))


def test_answers_pass_the_balancer_in_nat_and_only_there(case):
    """M5: the link from the balancer carries the VIP's answers in nat mode and not one of them in l2dsr mode."""
    answers = f"src host {case.vip}"
    if case.bed.layout == "routed":
        from_balancer, direct = ("client", "c0"), ("client", "c1")
    else:  # p0 is the balancer's port of the bridge: whatever it sends or gets passes there
        from_balancer, direct = ("sw", "p0"), ("sw", "pc")
    with traffic.Capture(case.bed, *from_balancer, "tcp") as by_balancer, \
            traffic.Capture(case.bed, *direct, "tcp") as by_lan:
        traffic.curl(case.bed, traffic.url(case.vip, 80, "/small.bin"), "-f", "-o", "/dev/null")
    assert (by_balancer.count(answers) > 0) == (case.mode == "nat")
    assert by_lan.count(answers) > 0 or (case.mode, case.bed.layout) == ("nat", "routed")
    service = next(s for s in case.balancer.get("/v1/stats")["services"] if s["name"] == case.service)
    assert service["packets"] > 0
    assert (service["return_packets"] > 0) == (case.mode == "nat")


def test_every_checksum_is_right(case):
    """M5: tcpdump finds correct checksums and no incorrect one; no kernel counts a checksum error."""
    before = {host: traffic.counter(case.bed, host, "TcpInCsumErrors") for host in (*HOSTS, "client")}
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(case.tap(host)) for host in (*HOSTS, "client")]
        for _ in range(6):
            traffic.curl(case.bed, traffic.url(case.vip, 80, "/small.bin"), "-o", "/dev/null")
    lines = [line for tap in taps for line in tap.lines()]
    assert sum("(correct)" in line for line in lines) > 100, "tcpdump has verified too few checksums to tell"
    assert [line for line in lines if "incorrect" in line or "bad cksum" in line] == []
    assert {host: traffic.counter(case.bed, host, "TcpInCsumErrors") for host in before} == before


def test_large_transfers_arrive_identical(case):
    """M5: 20 MB down and 20 MB up, byte for byte."""
    content = case.bed.run_dir / "files/large.bin"
    got = case.bed.run_dir / "got.bin"
    traffic.curl(case.bed, traffic.url(case.vip, 80, "/large.bin"), "-f", "-o", got)
    assert servers.sha256(got) == servers.sha256(content)
    for host in HOSTS:
        (case.bed.run_dir / host / "upload/sent.bin").unlink(missing_ok=True)
    traffic.curl(case.bed, traffic.url(case.vip, 80, "/upload/sent.bin"), "-f", "-T", content)
    stored = [path for host in HOSTS if (path := case.bed.run_dir / host / "upload/sent.bin").exists()]
    assert [servers.sha256(path) for path in stored] == [servers.sha256(content)]


@pytest.mark.parametrize("family", [4, 6])
def test_udp_is_balanced_and_answered_from_the_vip(all_modes, family):
    """M5, M19: datagrams reach every backend by nat; the answers come from the VIP and its port."""
    bed, vip = all_modes.bed, place.VIP4_NAT if family == 4 else place.VIP6_NAT
    errors = "UdpInCsumErrors" if family == 4 else "Udp6InCsumErrors"
    before = traffic.counter(bed, "client", errors)
    with contextlib.ExitStack() as stack:
        for host in HOSTS:
            stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, 5353)))
        names = set()
        for number in range(40):
            with traffic.datagram_socket(bed, family) as sender:
                sender.connect((vip, 5300))  # connected: an answer from elsewhere would not be delivered
                sender.send(b"%d" % number)
                name, _, echoed = sender.recv(100).partition(b":")
            assert echoed == b"%d" % number
            names.add(name.decode())
    assert names == set(HOSTS)
    assert traffic.counter(bed, "client", errors) == before


def test_control_half_made_checksums_are_counted(all_modes):
    """Control of the checksum tests: with checksum offload on at the client, the errors they look for appear."""
    bed = all_modes.bed
    before = sum(traffic.counter(bed, host, "TcpInCsumErrors") for host in HOSTS)
    bed.run("client", "ethtool", "-K", "c0", "tx", "on")
    try:
        bed.run("client", "curl", "-s", "--max-time", "1", traffic.url(place.VIP4_NAT, 80), check=False)
    finally:
        bed.run("client", "ethtool", "-K", "c0", "tx", "off")
    assert sum(traffic.counter(bed, host, "TcpInCsumErrors") for host in HOSTS) > before

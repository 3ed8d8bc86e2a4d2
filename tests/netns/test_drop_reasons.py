# SPDX-License-Identifier: Apache-2.0
"""S20: each reason to drop a packet has a counter of its own, and what the kernel says was dropped is their sum."""

import contextlib
import pathlib
import re

import pytest

import daemon
import layout as place
import servers
import traffic
import wire
from conftest import running
from tunnel_cases import Way

GRE, UNANSWERED, EMPTY, ENDED = 47, 81, 82, 83
REJECTED = {4: "192.0.2.200", 6: "2001:db8:1::200"}
NOBODY = {4: "192.0.2.99", 6: "2001:db8:1::99"}  # on the client's link, but there is no such host
NOT_SENT = {"internal_table", "no_headroom"}  # a table that contradicts itself; a driver that leaves no room


@pytest.fixture(scope="module")
def strict(bed):
    """An lbd that sends no ICMP, with a service for every reason; l4 has no program."""
    services = []
    for family in (4, 6):
        nat, ipip = Way("nat", family, family), Way("ipip", family, family)
        nobody = place.endpoint("198.51.100.60" if family == 4 else "2001:db8:b:1::60", UNANSWERED)
        services += nat.services(bed, ("tcp", "udp")) + ipip.services(bed, ("udp",), hash="source")
        services += [daemon.Service(f"unanswered{family}", f"tcp:{place.endpoint(nat.vip, UNANSWERED)}", "nat",
                                    [("gone", nobody)]),
                     daemon.Service(f"empty{family}", f"tcp:{place.endpoint(nat.vip, EMPTY)}", "nat"),
                     daemon.service(bed, f"ended{family}", nat.vip, ENDED, "nat", hosts=("b1",), protocol="udp",
                                    settings={"on-remove": "reset"})]
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(services, interfaces=["l0", "l1", "l2", "l3"], extra="icmp-rate = 0\n" + daemon.TUNNEL)
        balancer.start()
        for family in (4, 6):
            name = Way("nat", family, family).name
            servers.wait_for(lambda: all(b["next_hop"]["state"] == "resolved"
                                         for b in balancer.backends(name).values()), 5, f"{name} is resolved")
            bed.run("lb", "ip", f"-{family}", "route", "add", "unreachable", REJECTED[family])
            bed.run("lb", "ping", "-c1", "-W2", bed.backend("b4").address(family))
            heir = place.endpoint(bed.backend("b2").address(family), ENDED)
            balancer.ctl("backend", "add", f"ended{family}", heir, "--name", "b2")
            balancer.ctl("backend", "del", f"ended{family}/b1")  # every flow there is, is b1's, and ended
        try:
            yield balancer
        finally:
            for family in (4, 6):
                bed.run("lb", "ip", f"-{family}", "route", "del", "unreachable", REJECTED[family], check=False)


def changed(packet, offset: int, *values: int) -> bytes:
    """The bytes of a packet with those from `offset` replaced."""
    whole = bytearray(bytes(packet))
    whole[offset:offset + len(values)] = bytes(values)
    return bytes(whole)


def from_client(family: int) -> dict:
    """Packets to a VIP by the reason that drops them."""
    way, tunnel = Way("nat", family, family), Way("ipip", family, family)
    at = 20 if family == 4 else 40  # of the transport header
    hops = {"ttl": 1} if family == 4 else {"hlim": 1}

    def ip(**fields):
        return wire.network(way.client, way.vip, **fields)

    def tcp(port: int):
        return wire.TCP(sport=40000, dport=port)

    udp = wire.UDP(sport=40000, dport=way.udp_port)
    quote = wire.quote_of(way.vip, 9, way.client, 40000)
    later = ip(proto=17, frag=100) / bytes(64) if family == 4 else ip(nh=44) / (bytes([17, 0, 3, 32]) + bytes(68))
    long = {"frag": 200, "proto": 17} if family == 4 else {"nh": 44}
    long = wire.network(tunnel.client, tunnel.vip, **long) / \
        (bytes(1480) if family == 4 else bytes([17, 0, 6, 64]) + bytes(1456))
    martian = wire.network("127.0.0.1" if family == 4 else "::1", way.vip)
    router = "192.0.2.77" if family == 4 else "2001:db8:1::77"
    packets = {
        "no_service": ip() / tcp(9),
        "protocol_not_balanced": ip(proto=GRE) / bytes(8) if family == 4 else ip(nh=GRE) / bytes(8),
        "bad_ip_header": changed(ip() / tcp(80), 0, 0x44 if family == 4 else 0x50),
        "truncated": bytes(ip() / udp / bytes(40))[:-1],
        "bad_tcp_header": changed(ip() / tcp(80), at + 12, 0x40),
        "bad_udp_header": changed(ip() / udp / bytes(8), at + 4, 0, 7),
        "fragment": later,
        "ttl_expired": ip(**hops) / tcp(80),
        "no_backend": ip() / tcp(EMPTY),
        "backend_no_neighbor": ip() / tcp(UNANSWERED),
        "too_big": long,
        "answer_rate_limited": ip() / (wire.ICMP(type=8) if family == 4 else wire.ICMPv6EchoRequest()),
        "bad_icmp": wire.too_big(family, 1300, b"", router, way.vip),
        "icmp_no_flow": wire.too_big(family, 1300, quote, router, way.vip),
        "flow_ended": ip() / wire.UDP(sport=40000, dport=ENDED),
        "icmp_not_balanced": ip() / (wire.ICMP(type=13) if family == 4 else wire.ICMPv6EchoReply()),
        "martian_source": martian / tcp(80),
    }
    if family == 6:
        chain = bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 11 + bytes([17, 0, 1, 4, 0, 0, 0, 0])
        packets["extension_headers"] = ip(nh=0) / (chain + bytes(udp))
    return packets


def from_backend(bed, family: int) -> dict:
    """Answers of b1 to clients that cannot be reached, by reason."""
    source, port = bed.backend("b1").address(family), Way("nat", family, family).backend_port
    clients = {"client_no_route": REJECTED[family], "client_no_neighbor": NOBODY[family],
               "client_egress_unattached": bed.backend("b4").address(family)}
    return {reason: wire.network(source, client) / wire.TCP(sport=port, dport=40000, flags="A")
            for reason, client in clients.items()}


def dropped_by_kernel(bed) -> int:
    """What the drivers of the balancer's interfaces count as dropped by their XDP program."""
    return sum(traffic.interface_counter(bed, "lb", name, r"rx_queue_\d+_xdp_drops") for name in bed.interfaces)


def drops(balancer) -> dict:
    return {v["name"]: v["packets"] for v in balancer.get("/v1/stats")["verdicts"] if v["action"] == "drop"}


@contextlib.contextmanager
def forwarding_off(bed, family: int):
    path = pathlib.Path(f"/proc/sys/net/ipv{family}/conf/l1/forwarding")
    with bed.inside("lb"):
        path.write_text("0\n")
    try:
        yield
    finally:
        with bed.inside("lb"):
            path.write_text("1\n")


@pytest.mark.parametrize("family", [4, 6])
def test_every_drop_has_its_own_counter_and_they_add_up(strict, family):
    """A different number of packets for each reason: the API, `lbctl stats` and /metrics give that number to that
    reason, nothing to another, and the drivers have dropped as many as all of them together."""
    bed, balancer = strict.bed, strict
    incoming, answers = from_client(family), from_backend(bed, family)
    reasons = [*incoming, *answers, "client_forwarding_off"]
    wanted = {reason: 2 + number for number, reason in enumerate(reasons)}
    before, kernel_before = drops(balancer), dropped_by_kernel(bed)
    with wire.Station(bed) as client, wire.Station(bed, "b1") as backend:
        for reason, packet in incoming.items():
            client.send(client.frame(packet, family=family), times=wanted[reason])
        for reason, packet in answers.items():
            backend.send(packet, times=wanted[reason])
        reachable = answers["client_no_route"].copy()
        reachable.dst = place.CLIENT4 if family == 4 else place.CLIENT6
        with forwarding_off(bed, family):
            backend.send(reachable, times=wanted["client_forwarding_off"])
    after = drops(balancer)
    counted = {reason: count - before[reason] for reason, count in after.items() if count != before[reason]}
    assert counted == wanted
    assert dropped_by_kernel(bed) - kernel_before == sum(wanted.values())

    metrics = dict(re.findall(r'^weir_drops_total\{reason="(\w+)"\} (\d+)$', balancer.get("/metrics"), re.MULTILINE))
    assert {reason: int(count) for reason, count in metrics.items()} == after
    text = balancer.ctl("stats").stdout
    shown = dict(re.findall(r"^(\w+) +drop +(?:yes|no) +(\d+) ", text, re.MULTILINE))
    assert {reason: int(shown[reason]) for reason in wanted} == {reason: after[reason] for reason in wanted}


def test_no_reason_is_left_untried(strict):
    """A drop that is added to the table of verdicts needs a packet here."""
    tried = set(from_client(4)) | set(from_client(6)) | set(from_backend(strict.bed, 4)) | {"client_forwarding_off"}
    assert set(drops(strict)) == tried | NOT_SENT

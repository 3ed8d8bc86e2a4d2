# SPDX-License-Identifier: Apache-2.0
"""M4, M8, M10: connections stay with their backend while backends come, are drained and weigh more or less."""

import contextlib
import time

import pytest

import consistency
import layout as place
import traffic
import unwrap
from consistency import add, echo_service, expect, protection, rows
from daemon import TUNNEL
from keeping import PORT, Echo, Keep

DRAINED_PORT, PORTS = 7008, "7007-7008"
# name: (mode, VIP, protocol, flows); UDP in l2dsr would need a server per VIP, TCP finds its address by itself.
WAYS = {"nat4": ("nat", place.VIP4_NAT, "tcp", 500), "nat6": ("nat", place.VIP6_NAT, "tcp", 100),
        "dsr4": ("l2dsr", place.VIP4_DSR, "tcp", 100), "dsr6": ("l2dsr", place.VIP6_DSR, "tcp", 100),
        "ipip4": ("ipip", place.VIP4_IPIP, "tcp", 100), "gue6": ("gue", place.VIP6_GUE, "tcp", 100),
        "udp4": ("nat", place.VIP4_NAT, "udp", 100)}


@pytest.fixture(scope="module")
def echoes(bed):
    with unwrap.unwrapping(bed), Echo(bed, None, PORTS), Echo(bed, None, PORT, udp=True):
        yield bed


@pytest.fixture(scope="module")
def balancer(echoes, protection):
    services = [echo_service(echoes, name, vip=vip, mode=mode, protocol=protocol, idle="1h")
                for name, (mode, vip, protocol, _) in WAYS.items()]
    services.append(echo_service(echoes, "drained", DRAINED_PORT))
    with consistency.started(echoes, services, protection, extra=TUNNEL) as made:
        yield made


def keep(bed, way: str) -> Keep:
    _, vip, protocol, count = WAYS[way]
    return Keep(bed, vip, PORT, count, **({"udp": True} if protocol == "udp" else {}))


@protection
def test_flows_stay_when_a_backend_is_added_and_weights_change(balancer, protection, record_property):
    """M4: 1100 flows, every mode, TCP and UDP: b4 is added, weights change, b2 is drained and back: 0 broken."""
    bed = balancer.bed
    with contextlib.ExitStack() as stack:
        watched = {way: stack.enter_context(keep(bed, way)) for way in WAYS}
        for way in WAYS:
            add(balancer, way, "b4")
        moving = rows(balancer)["moving"]
        for way in WAYS:
            balancer.ctl("backend", "set", f"{way}/b1", "--weight", "50")
            balancer.ctl("backend", "set", f"{way}/b4", "--weight", "200")
        time.sleep(0.5)
        for verb in ("drain", "undrain"):
            for way in WAYS:
                balancer.ctl("backend", verb, f"{way}/b2")
        reports = {way: one.settled() if protection == "on" else one.report() for way, one in watched.items()}
        new = {traffic_of for way in WAYS for traffic_of in stack.enter_context(keep(bed, way)).report()["by_backend"]}
    assert new == {"b1", "b2", "b3", "b4"}, "new connections do not reach the added backend"
    assert (moving > 0) == (protection == "on"), f"{moving} rows are moving"
    broken = {way: report["broken"] for way, report in reports.items()}
    record_property("figure", f"M4, protection {protection}: broken of 1100 flows: {broken}")
    for report in reports.values():  # each way by itself
        expect(protection, report)


@protection
def test_a_drained_backend_keeps_its_flows_and_gets_no_new_one(balancer, protection, record_property):
    """M8: 600 flows, b2 drained: no SYN on its wire later than 100 ms, every flow lives; undrain brings SYNs back."""
    bed = balancer.bed
    with Keep(bed, place.VIP4_NAT, DRAINED_PORT, 600) as watched, \
            traffic.Loop(lambda: traffic.connect(bed, place.VIP4_NAT, DRAINED_PORT).close(), pause=0.005) as loop:
        assert watched.on("b2")["open"] > 150
        with traffic.Capture(bed, "b2", "b0", f"tcp dst port {DRAINED_PORT} and tcp[13] & 0x12 = 0x02") as syns:
            time.sleep(0.5)
            drained = time.time()
            balancer.ctl("backend", "drain", "drained/b2")
            time.sleep(1.5)
            undrained = time.time()
            balancer.ctl("backend", "undrain", "drained/b2")
            time.sleep(0.5)
        report = watched.settled() if protection == "on" else watched.report()
    times = syns.times()
    late = [at - drained for at in times if drained + 0.1 < at < undrained]
    record_property("figure", f"M8: last SYN {max(a for a in times if a < undrained) - drained:+.3f} s after the drain "
                    f"began, {len(loop.results)} connections meanwhile, {report['broken']} of 600 flows broken")
    assert late == [] and any(at < drained for at in times) and any(at > undrained for at in times)
    expect(protection, report)


@pytest.mark.parametrize("protection", ["on"], scope="module")
def test_a_syn_leaves_a_drained_backend_at_once(balancer, protection, record_property):
    """M10: ports of flows are used again while b2 is drained: none gets b2, each the backend that trace names, the
    median within 10 ms."""
    bed = balancer.bed
    ports = range(45000, 45060)
    with contextlib.ExitStack() as stack:
        before = {p: stack.enter_context(traffic.connect(bed, place.VIP4_NAT, DRAINED_PORT, p)) for p in ports}
        homes = {p: name_of(c) for p, c in before.items()}
        balancer.ctl("backend", "drain", "drained/b2")
        stack.callback(balancer.ctl, "backend", "undrain", "drained/b2")
        assert {p: name_of(c) for p, c in before.items()} == homes  # those of b2 are remembered from here on
        for one in before.values():
            one.close()
        took, again = [], {}
        for port in ports:
            start = time.monotonic()
            with traffic.connect(bed, place.VIP4_NAT, DRAINED_PORT, port) as connection:
                took.append(time.monotonic() - start)
                again[port] = name_of(connection)
        named = {port: balancer.trace(place.CLIENT4, port, f"{place.VIP4_NAT}:{DRAINED_PORT}") for port in ports}
    assert sum(home == "b2" for home in homes.values()) > 5
    assert "b2" not in again.values() and again == named
    record_property("figure", f"M10: 60 ports used again: median {sorted(took)[30] * 1000:.1f} ms, longest "
                    f"{max(took) * 1000:.1f} ms")
    assert sorted(took)[len(took) // 2] < 0.010


def name_of(connection) -> str:
    connection.sendall(b"?\n")
    return connection.recv(64).split()[0].decode()

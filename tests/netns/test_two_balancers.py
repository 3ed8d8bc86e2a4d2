# SPDX-License-Identifier: Apache-2.0
"""M25: two balancers behind ECMP pick alike without knowing of each other; one dies, and connections go on."""

import contextlib
import os
import random
import time

import pytest

import bed as beds
import consistency
import daemon
import layout as place
from consistency import add, echo_service, expect, owners
from keeping import Echo, Keep, describe

DIRECT, NAT, DIRECT6 = range(7501, 7504)
SERVICES = {"direct": (DIRECT, place.VIP4_DSR, "l2dsr"), "nat": (NAT, place.VIP4_NAT, "nat"),
            "direct6": (DIRECT6, place.VIP6_DSR, "l2dsr")}
OTHER_SEED = daemon.SEED[::-1]


@pytest.fixture(scope="module")
def pair_bed():
    """The one-armed bed with two balancers, and keep's echo on its backends."""
    made = beds.Bed(f"w2{os.getpid()}", "switch", balancers=2).up()
    try:
        with Echo(made, None, f"{DIRECT}-{DIRECT6}"):
            yield made
    finally:
        made.down()


def routes(bed, balancers) -> None:
    """The client's routers send packets to VIPs to these balancers, flow by flow; backends answer nat through one."""
    ways = {"lb": (place.BALANCER4, place.BALANCER6), "lb2": (place.SECOND4, place.SECOND6)}
    for position, vips in enumerate((place.VIPS4, place.VIPS6)):
        words = [word for host in balancers for word in ("nexthop", "via", ways[host][position])]
        bed.run("client", "ip", "-6" if position else "-4", "route", "replace", vips, *words)
    inside = place.SECOND_INSIDE4 if "lb" not in balancers else bed.backends[0].lb_v4
    for backend in bed.backends:
        bed.run(backend.name, "ip", "route", "replace", "default", "via", inside)


@contextlib.contextmanager
def pair(bed, seed: str = daemon.SEED):
    """Both balancers with the same services, the second one with that seed."""
    for family in ("ipv4", "ipv6"):
        bed.run("client", "sysctl", "-qw", f"net.{family}.fib_multipath_hash_policy=1")  # by ports, too
    services = [echo_service(bed, name, port, vip=vip, mode=mode) for name, (port, vip, mode) in SERVICES.items()]
    with contextlib.ExitStack() as stack:
        stack.callback(cable, bed, "up")
        both = [stack.enter_context(consistency.started(bed, services, host=host, seed=key))
                for host, key in (("lb", daemon.SEED), ("lb2", seed))]
        routes(bed, ("lb", "lb2"))
        yield both


def cable(bed, state: str) -> None:
    """Of the first balancer, at the switch's end."""
    bed.run("sw", "ip", "link", "set", "p0", state)


def die(balancer) -> None:
    """The first balancer's host is gone; a moment later its router knows."""
    balancer.kill()
    cable(balancer.bed, "down")
    time.sleep(0.3)
    routes(balancer.bed, ("lb2",))


def watch(stack, bed, flows: int) -> dict:
    return {name: stack.enter_context(Keep(bed, vip, port, flows)) for name, (port, vip, _) in SERVICES.items()}


def row(balancer, service: str, source_port: int) -> int:
    """The row of a flow of the client."""
    port, vip, _ = SERVICES[service]
    source = place.endpoint(place.CLIENT6 if ":" in vip else place.CLIENT4, source_port)
    path = f"/v1/trace?protocol=tcp&source={source}&destination={place.endpoint(vip, port)}&syn=true"
    return balancer.get(path.replace("[", "%5B").replace("]", "%5D"))["row"]


def shares(first, second) -> tuple:
    """Packets that each has forwarded."""
    return tuple(sum(s["packets"] for s in one.get("/v1/stats")["services"]) for one in (first, second))


def alike(first, second) -> bool:
    """Whether every row of every service has the same owner, and each of 1000 random tuples the same backend."""
    picks, unlike = random.Random(25), 0
    for name, (port, vip, _) in SERVICES.items():
        unlike += owners(first, name) != owners(second, name)
        source = "2001:db8:1::" if ":" in vip else "192.0.2."
        for _ in range(334):
            flow = (f"{source}{picks.randrange(1, 250)}", picks.randrange(1024, 65536), place.endpoint(vip, port))
            unlike += first.trace(*flow) != second.trace(*flow)
    return unlike == 0


@pytest.mark.parametrize("seed, protection", [(daemon.SEED, "on"), (OTHER_SEED, "off")], ids=["same", "another"])
def test_two_balancers_pick_alike_and_flows_go_on_when_one_dies(pair_bed, seed, protection, record_property):
    """Same file, same seed: the same picks. 300 flows through either; one dies: not a flow breaks while the set of
    backends is what it was. The control: a second balancer with another seed."""
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(pair(pair_bed, seed))
        assert protection == "off" or alike(first, second)
        watched = watch(stack, pair_bed, 100)
        assert min(shares(first, second)) > 50, "ECMP sends nothing through one of them"
        die(first)
        time.sleep(0.5)
        reports = [one.settled() if protection == "on" else one.report() for one in watched.values()]
        record_property("figure", f"M25, seeds {'alike' if protection == 'on' else 'unlike'}: "
                        f"{sum(r['broken'] for r in reports)} of 300 flows broken by the death of one of two balancers")
        for report in reports:
            expect(protection, report)


def test_a_balancer_dies_inside_the_window_of_a_change(pair_bed, record_property):
    """The known limit: b4 joins on both, then one dies. Flows older than b4 all live. Of the younger ones those break
    that the dead one alone remembered: only some of those whose row had moved."""
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(pair(pair_bed))
        old = watch(stack, pair_bed, 100)
        former = {name: owners(second, name) for name in SERVICES}
        for balancer in (first, second):
            for name, (port, _, _) in SERVICES.items():
                add(balancer, name, "b4", port)
        new = watch(stack, pair_bed, 100)
        moved = {name: {port for port, host in one.where().items() if former[name][row(second, name, port)] != host}
                 for name, one in new.items()}
        die(first)
        time.sleep(2.5)
        before, after = ({name: one.report() for name, one in flows.items()} for flows in (old, new))
        broken, at_risk = sum(report["broken"] for report in after.values()), sum(map(len, moved.values()))
        record_property("figure", f"M25, b4 added within the window: "
                        f"{sum(r['broken'] for r in before.values())} of 300 older flows broken, {broken} of 300 "
                        f"younger ones (of {at_risk} whose rows had moved)")
        expect("on", *before.values())
        assert 0 < broken < at_risk, "\n".join(map(describe, after.values()))
        for name, report in after.items():
            assert {fault["source_port"] for fault in report["faults"]} <= moved[name], describe(report)

# SPDX-License-Identifier: Apache-2.0
"""No operation breaks a connection: random ones, one after the other, under long-lived connections, young ones and wrk.

WEIR_OPERATIONS (30) operations over WEIR_OPERATIONS_CONNECTIONS (500) connections; WEIR_OPERATIONS_SEED repeats a run.
`scripts/dev operations` does 200 over 2000.
"""

import contextlib
import os
import random

import pytest

import consistency
import daemon
import layout as place
import traffic
from consistency import echo_service
from keeping import PORT, Echo, Keep, describe
from operations import Operator, Service

COUNT = int(os.environ.get("WEIR_OPERATIONS", 30))
CONNECTIONS = int(os.environ.get("WEIR_OPERATIONS_CONNECTIONS", 500))
SEED = int(os.environ.get("WEIR_OPERATIONS_SEED", random.SystemRandom().randrange(1 << 32)))
CONTROL = 12  # operations without protection, at most
YOUNG = 100  # connections of 1 to 6 s, one after the other
SETTLE = 4  # seconds: rows go through all their states while the operations last


@contextlib.contextmanager
def operated(bed, protection: str):
    """An operator, and connections to watch: (operator, reports, wrk)."""
    hosts = ("b1", "b2", "b3")
    settings = {"settle": f"{SETTLE}s", "on-remove": "keep"}
    made = {"web": daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080, hosts, rows=4096, settings=settings),
            "keep": echo_service(bed, "keep", hosts=hosts, settle=f"{SETTLE}s", on_remove="keep")}
    with Echo(bed), consistency.started(bed, made.values(), protection) as balancer:
        balancer.made = made
        ordered = [Service(name, port, place.VIP4_NAT, {host: ["active", 100] for host in hosts})
                   for name, port in (("web", 8080), ("keep", PORT))]
        wrk = traffic.Wrk(bed, traffic.url(place.VIP4_NAT, 80, "/quiet"), 3600, connections=16)
        with Keep(bed, place.VIP4_NAT, PORT, CONNECTIONS) as old, \
                Keep(bed, place.VIP4_NAT, PORT, YOUNG, lifetime="1:6", again=True, seed=SEED) as young:
            try:
                yield Operator(balancer, ordered, SEED), (old, young), wrk
            finally:
                wrk.kill()


def story(operator, reports) -> str:
    """What a failure needs to be told: how to repeat it, what was done, what broke."""
    return "\n".join([f"repeat with WEIR_OPERATIONS_SEED={SEED}", *operator.history[-12:], *map(describe, reports)])


@pytest.mark.limit(90 + 3 * COUNT)
def test_no_operation_breaks_a_connection(bed, record_property):
    """add, drain, undrain, re-weight, remove, reload, apply, kill -9, upgrade at random: 0 resets, 0 wrong backends, 0
    time-outs; no flow is counted as misrouted."""
    print(f"WEIR_OPERATIONS_SEED={SEED} WEIR_OPERATIONS={COUNT} WEIR_OPERATIONS_CONNECTIONS={CONNECTIONS}")
    with operated(bed, "on") as (operator, watched, wrk):
        for _ in range(COUNT):
            operator.step()
            operator.pause()
            reports = [one.report() for one in watched]
            assert not any(report["broken"] for report in reports), story(operator, reports)
        reports = [watched[0].settled(), watched[1].report()]
        misroutes = consistency.metric(operator.balancer, "weir_flow_misroutes_total")
        outcome = wrk.stop()
    broken, slowest = sum(r["broken"] for r in reports), max(r["slowest_seconds"] for r in reports)
    record_property("figure", f"operations: {COUNT} with seed {SEED} over {CONNECTIONS} connections, "
                    f"{reports[1]['ended']} of 1 to 6 s and {outcome['requests']} requests by wrk: {broken} broken, "
                    f"{outcome['errors']} errors, slowest answer {slowest:.2f} s")
    assert not any(report["broken"] for report in reports), story(operator, reports)
    assert reports[0]["open"] == CONNECTIONS and reports[1]["ended"] > YOUNG / 2
    assert outcome["errors"] == 0, outcome["text"] + story(operator, reports)
    assert misroutes == 0


def test_control_the_same_operations_without_memory_break_connections(bed):
    """The control: lbd without protection, the same seed."""
    with operated(bed, "off") as (operator, watched, wrk):
        while not watched[0].report()["broken"] and len(operator.history) < CONTROL:
            operator.step()
            operator.pause()
        consistency.expect("off", watched[0].report())

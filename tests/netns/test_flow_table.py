# SPDX-License-Identifier: Apache-2.0
"""M21, M22, N12: a flow table that is full or flooded harms no flow that it holds, and says whom it harmed."""

import contextlib
import json
import re
import signal
import subprocess
import time

import pytest

import consistency
import daemon
import layout as place
import servers
import traffic
import unwrap
from consistency import add, echo_service, expect, metric
from keeping import Echo, Keep, describe

FULL, FORCED, KEPT, FLOODED = range(7601, 7605)
FLOOD_SECONDS = 10


@pytest.fixture(scope="module")
def echo(bed):
    with Echo(bed, None, f"{FULL}-{FLOODED}") as made:
        yield made


def limits(flows: int, embryos: int) -> str:
    return f"[limits]\nflows = {flows}\nembryos = {embryos}\n"


def evictions(balancer) -> dict:
    """By class."""
    return {kind: metric(balancer, "weir_flow_evictions_total", **{"class": kind})
            for kind in ("embryo", "established", "udp")}


@pytest.mark.parametrize("protection", ["on"])
def test_a_full_table_forwards_all_and_counts_what_it_forgot(bed, echo, protection, record_property):
    """M21: 1024 entries, 5000 flows of a service that remembers all: each is answered, some 4000 evictions at least are
    counted, the table has no entry more than its size."""
    service = echo_service(bed, "full", FULL, track="all")
    with consistency.started(bed, [service], extra=limits(1024, 1024)) as balancer, \
            Keep(bed, place.VIP4_NAT, FULL, 5000, interval=1.0) as watched:
        report = watched.settled(1)
        status = balancer.get("/v1/status")["flows"]
        evicted = evictions(balancer)
        assert metric(balancer, "weir_flow_table_entries") <= metric(balancer, "weir_flow_table_capacity_entries")
        assert balancer.process.poll() is None
    record_property("figure", f"M21: 5000 flows, {status}: evictions {evicted}, {report['broken']} broken")
    assert (status["capacity"], status["embryo_capacity"]) == (1024, 1024) and status["entries"] <= 1024
    assert evicted["established"] >= 5000 - 1024 - 1024
    assert report["broken"] == 0, describe(report)


def test_every_flow_that_an_eviction_broke_is_counted(bed, echo, record_property):
    """N12: 1024 entries, 1150 flows that began on b4 in rows that are still moving: those that are evicted break, and
    the counter of misroutes says how many."""
    service = echo_service(bed, "forced", FORCED, ("b1",))
    with consistency.started(bed, [service], extra=limits(1024, 8192)) as balancer, \
            Keep(bed, place.VIP4_NAT, FORCED, 100) as old:
        replace(balancer, "forced", "b1", "b4", FORCED)
        new = Keep(bed, place.VIP4_NAT, FORCED, 1150, interval=0.5)  # not entered: some break while others open
        try:
            servers.wait_for(lambda: new.report()["opening"] == 0, 10, "all are open")
            time.sleep(2)
            counted = servers.wait_for(lambda: standing(balancer, "weir_flow_misroutes_total"), 10, "it stands")
            reports, evicted = (old.report(), new.report()), evictions(balancer)
        finally:
            new.stop()
    broken = sum(report["broken"] for report in reports)
    record_property("figure", f"N12: {broken} flows broken, {counted:.0f} misroutes counted, evictions {evicted}")
    assert broken > 0 and evicted["established"] >= broken
    assert counted == broken, "\n".join(map(describe, reports))
    assert reports[0]["broken"] == 0, "a flow older than the change broke"


def standing(balancer, name: str):
    """Its value, when it has not grown for half a second."""
    before = metric(balancer, name)
    time.sleep(0.5)
    return before if metric(balancer, name) == before else None


@contextlib.contextmanager
def sink(bed, host: str):
    """What TCP packets reach this backend are counted and dropped by its interface meanwhile: its kernel is not what is
    to be measured. Yields a function that ends it and returns lbgen's report."""
    unwrap.program_off(bed, host)
    gateways = {"-4": bed.backend(host).lb_v4, "-6": bed.backend(host).lb_v6}
    for family in gateways:  # lbgen drops nothing where a host's default route is
        bed.run(host, "ip", family, "route", "del", "default")
    process = bed.popen(host, daemon.LBGEN, "count", "b0", "--drop", "--seconds", 120, "-o", "json",
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert "counting" in line, line
        yield lambda: (process.send_signal(signal.SIGINT), json.loads(process.communicate(timeout=10)[0]))[1]
    finally:
        process.kill()
        process.wait()
        for family, gateway in gateways.items():
            bed.run(host, "ip", family, "route", "replace", "default", "via", gateway)
        unwrap.program_on(bed, host)


def flood(bed, *words) -> dict:
    """lbgen at the flooded service, to its end; its report."""
    said = bed.run("flood", daemon.LBGEN, "send", "f0", "--to", place.endpoint(place.VIP4_NAT, FLOODED), "--from",
                   "198.18.0.0/16", "-o", "json", *words)
    return json.loads(said.stdout)


def percentile(outcome) -> float:
    """wrk's 99th percentile, in seconds."""
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", outcome["text"]).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def replace(balancer, service: str, old: str, new: str, port: int) -> None:
    """Another backend takes the drained one's place: every row of the service is moving."""
    add(balancer, service, new, port)
    balancer.ctl("backend", "drain", f"{service}/{old}")
    assert set(consistency.owners(balancer, service)) == {new}


@pytest.mark.limit(90)
def test_a_syn_flood_evicts_no_flow(bed, echo, record_property):
    """M22: every row is moving, SYNs from random sources come as fast as lbgen sends, for 10 s. Of 300 flows, half of
    them younger than the change, none is evicted or broken; wrk elsewhere has no error; evicted embryos are counted.
    Control: as many flows that send a second packet do evict, and the younger ones break."""
    services = [echo_service(bed, "kept", KEPT, ("b1",)), echo_service(bed, "flooded", FLOODED, ("b3",)),
                daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080, ("b1", "b2"))]
    target = traffic.url(place.VIP4_NAT, 80, "/quiet")
    with contextlib.ExitStack() as stack:
        stack.enter_context(bed.flooder())
        balancer = stack.enter_context(consistency.started(bed, services, extra=limits(4096, 65536),
                                                           interfaces=bed.interfaces + ["l9"]))
        quiet = traffic.Wrk(bed, target, 1, connections=16).result()
        old = stack.enter_context(Keep(bed, place.VIP4_NAT, KEPT, 150))
        replace(balancer, "kept", "b1", "b2", KEPT)
        replace(balancer, "flooded", "b3", "b4", FLOODED)
        young = stack.enter_context(Keep(bed, place.VIP4_NAT, KEPT, 150))
        for one in (old, young):
            one.settled()  # seen since the rows moved
        received = stack.enter_context(sink(bed, "b4"))
        before, used = evictions(balancer), memory_of(balancer)
        wrk = traffic.Wrk(bed, target, FLOOD_SECONDS, connections=16)
        stack.callback(wrk.kill)
        sent = flood(bed, "--seconds", FLOOD_SECONDS)
        outcome, after = wrk.result(), evictions(balancer)
        reports = [one.settled() for one in (old, young)]
        flooded = {kind: after[kind] - before[kind] for kind in after}
        broken = sum(report["broken"] for report in reports)
        slow, usual = (percentile(one) * 1000 for one in (outcome, quiet))
        record_property("figure", f"M22: {sent['packets_per_second'] / 1e6:.2f} million SYN/s for {FLOOD_SECONDS} s "
                        f"into moving rows: evictions {flooded}, {broken} of 300 flows broken; wrk: "
                        f"{outcome['errors']} errors, 99 % within {slow:.1f} ms, quiet {usual:.1f} ms; lbd "
                        f"{memory_of(balancer) - used:+d} KiB")
        expect("on", *reports)
        assert flooded["established"] == 0 and flooded["embryo"] > 100_000
        assert outcome["errors"] == 0, outcome["text"]
        assert slow < 10 * max(usual, 5.0)
        assert abs(memory_of(balancer) - used) < 4096

        flood(bed, "--flows", "20k", "--packets", "60k", "--payload", "1")
        time.sleep(1)
        assert evictions(balancer)["established"] > after["established"]
        expect("off", young.report())
        counted = received()
        assert counted["packets"] > 0.9 * sent["packets"], "the flood did not arrive"


def memory_of(balancer) -> int:
    """KiB that lbd has in memory."""
    with open(f"/proc/{balancer.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

# SPDX-License-Identifier: Apache-2.0
"""M15: lbd is killed, started, upgraded, with flows that only the flow table can place: nothing is lost."""

import contextlib
import time

import pytest

import consistency
import daemon
import layout as place
import traffic
from consistency import add, echo_service, expect
from keeping import PORT, Echo, Keep

FLOWS = 500


@pytest.fixture
def moving(bed):
    """An lbd, 500 flows older than b4 and 200 younger, wrk's 64 among the older; half of the rows are moving."""
    web = daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080, rows=4096)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Echo(bed))
        balancer = stack.enter_context(consistency.started(bed, [web, echo_service(bed, "keep")]))
        old = stack.enter_context(Keep(bed, place.VIP4_NAT, PORT, FLOWS))
        wrk = traffic.Wrk(bed, traffic.url(place.VIP4_NAT, 80, "/quiet"), 60, connections=64)
        time.sleep(0.5)
        add(balancer, "keep", "b4")
        balancer.ctl("backend", "add", "web", f"{bed.backend('b4').v4}:8080", "--name", "b4")
        new = stack.enter_context(Keep(bed, place.VIP4_NAT, PORT, 200))
        stack.callback(wrk.kill)
        yield balancer, old, new, wrk


def test_kill_start_and_upgrade_lose_nothing(moving, record_property):
    """kill -9, a start 1.5 s later, an upgrade: wrk without an error, 700 flows unbroken, the program replaced through
    its links, no interface ever without one."""
    balancer, old, new, wrk = moving
    bed = balancer.bed
    attached = daemon.attached(bed)
    before = daemon.pinned_ids(bed.pin_dir)
    with traffic.Loop(lambda: daemon.attached(bed), pause=0.05) as seen:
        balancer.kill()
        time.sleep(1.5)
        balancer.start()
        time.sleep(0.5)
        balancer.upgrade()
        time.sleep(1)
    after = daemon.pinned_ids(bed.pin_dir)
    reports = [one.settled() for one in (old, new)]
    outcome = wrk.stop()
    record_property("figure", f"M15: {sum(r['broken'] for r in reports)} of 700 flows broken, "
                    f"wrk {outcome['errors']} errors in {outcome['requests']} requests, slowest answer "
                    f"{max(r['slowest_seconds'] for r in reports):.2f} s")
    assert {str(value) for _, _, value in seen.results} == {str(attached)} and seen.failures == []
    assert after["link"] == before["link"] and not after["prog"] & before["prog"]
    expect("on", *reports)
    assert outcome["errors"] == 0, outcome["text"]


def test_control_detach_instead_of_upgrade_forgets_flows(moving):
    """The control: the fast path taken down and put up again has no memory, and flows of moving rows break."""
    balancer, old, new, wrk = moving
    balancer.ctl("detach")
    balancer.process.wait(10)
    balancer.start().wait_resolved()
    time.sleep(2.5)
    expect("off", old.report(), new.report())


def test_tables_that_lbd_cannot_take_over_go_on_forwarding(bed, balancer):
    """A layout version from the future: lbd names it and does not start, twice; new and open connections go on; the lbd
    that they belong to starts again."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]).start().wait_resolved()
    with traffic.connect(bed, place.VIP4_NAT, 80) as kept:
        first = traffic.ask(kept)
        for version, refused in (("999", True), ("", False)):
            balancer.kill()
            daemon.put_former_program(balancer, *version.split())
            for _ in range(2 if refused else 0):
                assert "layout version 999" in balancer.refuse()
                assert traffic.who(bed, place.VIP4_NAT, 80) and traffic.ask(kept) == first
        balancer.start().wait_resolved()
        assert traffic.ask(kept) == first and traffic.who(bed, place.VIP4_NAT, 80)

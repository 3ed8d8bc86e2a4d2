# SPDX-License-Identifier: Apache-2.0
"""N1: drain with proof: the exit code says whether a flow is left, force-after resets exactly those that are."""

import contextlib
import re
import subprocess
import time

import pytest

import consistency
import daemon
import layout as place
import servers
from consistency import echo_service
from keeping import Echo, Keep, describe

ALL = {"counted": 7201, "watched": 7202, "forced": 7203, "unforced": 7204, "restarted": 7205, "taken": 7206,
       "awaited": 7207}
DEADLINE = 3  # seconds
LATE = 7  # of a drain during which lbd has to start anew, on however busy a machine
LONGEST = 8  # seconds: the flows live 1 to so many


@pytest.fixture(scope="module")
def echo(bed):
    with Echo(bed, None, f"{min(ALL.values())}-{max(ALL.values())}") as made:
        yield made


@pytest.fixture(scope="module")
def balancer(bed, echo):
    services = [echo_service(bed, name, port, track="changes" if name == "watched" else "all")
                for name, port in ALL.items()]
    with consistency.started(bed, services) as made:
        yield made


class Drain:
    """`lbctl backend drain SERVICE/b1 --wait` as a process: its lines, its exit code, and when it ended."""

    def __init__(self, balancer, service: str, *options):
        words = [daemon.LBCTL, "--socket", balancer.socket, "backend", "drain", f"{service}/b1", "--wait", *options]
        self._process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         text=True)
        self.begun, self.ended, self.text, self.code = time.monotonic(), None, "", None

    def wait(self, seconds: float = 30) -> "Drain":
        self.text = self._process.communicate(timeout=seconds)[0]
        self.ended, self.code = time.monotonic(), self._process.returncode
        return self

    def poll(self) -> bool:
        if self.ended is None and self._process.poll() is not None:
            self.wait()
        return self.ended is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def wait_all(drains, seconds: float) -> None:
    """Until each has ended, so that the time of every one is its own."""
    servers.wait_for(lambda: all([drain.poll() for drain in drains]), seconds, "every drain has ended")


def test_a_drain_ends_with_the_last_flow_and_at_the_deadline_ends_the_rest(balancer, echo, record_property):
    """Three drains at once. Two see flows of 1 to 8 s end, one with every flow remembered, one by watching: exit 0
    within 1 s of the last FIN, no flow broken. The third meets its deadline: exit 3, those of b1 are reset, and only
    they; b1 is gone afterwards, as asked."""
    bed = balancer.bed
    lifetime = f"1:{LONGEST}"
    with contextlib.ExitStack() as stack:
        counted = stack.enter_context(Keep(bed, place.VIP4_NAT, ALL["counted"], 100, lifetime=lifetime, seed=7))
        watched = stack.enter_context(Keep(bed, place.VIP4_NAT, ALL["watched"], 100, lifetime=lifetime, seed=8))
        forced = stack.enter_context(Keep(bed, place.VIP4_NAT, ALL["forced"], 100))
        mine = forced.on("b1")["open"]
        at_backend = echo.open_on("b1", ALL["forced"])
        drains = {"counted": Drain(balancer, "counted", "--deadline", "60s"),
                  "watched": Drain(balancer, "watched", "--deadline", "60s", "--watch", "2s"),
                  "forced": Drain(balancer, "forced", "--deadline", f"{DEADLINE}s", "--then", "remove",
                                  "--force-after")}
        for drain in drains.values():
            stack.callback(drain.kill)
        # The first count that is complete is of a sweep that began after the rows had changed.
        servers.wait_for(lambda: balancer.get("/v1/services/counted/backends/b1/drain")["complete"], 3,
                         "every flow is known")
        during = balancer.get("/v1/services/counted/backends/b1/drain")
        assert during["state"] == "watching" and during["remaining"] > 0
        assert during["remaining"] <= counted.on("b1")["open"] + 5
        assert not balancer.get("/v1/services/watched/backends/b1/drain")["complete"]

        servers.wait_for(drains["forced"].poll, DEADLINE + 4, "the deadline has passed")
        # Each hears of it when it sends, which is within half a second.
        servers.wait_for(lambda: forced.report()["broken"] >= mine, 2, "b1's flows are reset")
        report = forced.settled()
        assert drains["forced"].code == 3, drains["forced"].text
        assert DEADLINE - 0.1 < drains["forced"].ended - drains["forced"].begun < DEADLINE + 1.5
        assert (report["reset"], report["broken"]) == (mine, mine), describe(report)
        assert forced.on("b1")["broken"] == mine
        servers.wait_for(lambda: echo.open_on("b1", ALL["forced"]) == at_backend - mine, 3, "b1 has been told")
        servers.wait_for(lambda: "b1" not in balancer.backends("forced"), 3, "b1 has been removed")

        wait_all(drains.values(), LONGEST + 10)
        for name, keep in (("counted", counted), ("watched", watched)):
            drain, report = drains[name], keep.report()
            assert drain.code == 0, f"{name}: exit {drain.code}: {drain.text}"
            after = drain.ended - report["by_backend"]["b1"]["last_end"]
            record_property("figure", f"N1, {name}: drained {after:+.2f} s after the last FIN of b1's flows, exit 0; "
                            f"last lines: {drain.text.strip().splitlines()[-1:]}")
            assert report["broken"] == 0 and keep.on("b1")["open"] == 0, describe(report)
            assert (-0.1 < after < 1) if name == "counted" else (-0.1 < after < 4)
            assert re.search(r"\b0\b", drain.text) and len(drain.text.splitlines()) > 2, drain.text


def test_a_drain_ends_at_its_deadline_without_force_and_breaks_nothing(balancer):
    """No --force-after, no --then: exit 3 at the deadline; every flow goes on and is still counted."""
    with Keep(balancer.bed, place.VIP4_NAT, ALL["unforced"], 60) as keep:
        drain = Drain(balancer, "unforced", "--deadline", "1s").wait()
        assert drain.code == 3, drain.text
        report = keep.settled()
        assert report["broken"] == 0, describe(report)
        state = balancer.get("/v1/services/unforced/backends/b1/drain")
        assert (state["state"], state["remaining"]) == ("deadline", keep.on("b1")["open"])


def test_undrain_takes_a_drain_back(balancer):
    """undrain before the deadline: nothing is reset when it passes, nothing is removed, new flows come again."""
    with Keep(balancer.bed, place.VIP4_NAT, ALL["taken"], 100) as keep:
        balancer.ctl("backend", "drain", "taken/b1", "--deadline", "1s", "--then", "remove", "--force-after")
        balancer.ctl("backend", "undrain", "taken/b1")
        time.sleep(1.5)
        assert keep.settled()["broken"] == 0
        assert balancer.backends("taken")["b1"]["admin"] == "active"
        assert balancer.get("/v1/services/taken/backends/b1/drain")["state"] == "none"
        with Keep(balancer.bed, place.VIP4_NAT, ALL["taken"], 60) as new:
            assert new.on("b1")["open"] > 0


def test_a_drain_survives_kill_and_meets_its_deadline(balancer):
    """lbd is killed after a drain was ordered and comes back before the deadline: it forces and removes as ordered, and
    the deadline has not begun anew."""
    with Keep(balancer.bed, place.VIP4_NAT, ALL["restarted"], 100) as keep:
        mine = keep.on("b1")["open"]
        ordered = time.monotonic()
        balancer.ctl("backend", "drain", "restarted/b1", "--deadline", f"{LATE}s", "--then", "remove",
                     "--force-after")
        balancer.kill()
        time.sleep(1)
        balancer.start()
        left = balancer.get("/v1/services/restarted/backends/b1/drain")["deadline_seconds_left"]
        assert 0 < left <= LATE - 1
        servers.wait_for(lambda: keep.report()["broken"] == mine, LATE + 3, "b1's flows are reset")
        took = time.monotonic() - ordered
        assert LATE - 1.1 < took < LATE + 2  # the order's time is kept in whole seconds
        servers.wait_for(lambda: "b1" not in balancer.backends("restarted"), 3, "b1 has been removed")
        report = keep.settled()
        assert (report["reset"], report["broken"]) == (mine, mine), describe(report)


def test_wait_for_drained_times_out_and_then_succeeds(balancer):
    """`lbctl backend wait --for drained`: exit 3 while flows live, 0 when they have ended."""
    with Keep(balancer.bed, place.VIP4_NAT, ALL["awaited"], 60) as keep:
        balancer.ctl("backend", "drain", "awaited/b1")
        wait = ("backend", "wait", "awaited/b1", "--for", "drained", "--timeout")
        assert balancer.ctl(*wait, "1s", check=False).returncode == 3
        keep.ask("close", 60, "b1")
        assert balancer.ctl(*wait, "10s", check=False).returncode == 0
        assert keep.settled()["broken"] == 0

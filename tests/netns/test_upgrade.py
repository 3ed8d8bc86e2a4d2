# SPDX-License-Identifier: Apache-2.0
"""M15: lbd is killed, started, upgraded, with flows that only the flow table can place: nothing is lost."""

import contextlib
import ctypes
import mmap
import os
import platform
import time

import pytest

import consistency
import daemon
import layout as place
import traffic
from consistency import add, echo_service, expect, protection
from keeping import PORT, Echo, Keep

FLOWS = 500


@pytest.fixture
def moving(bed, protection):
    """An lbd, 500 flows older than b4 and 200 younger, wrk's 64 among the older; half of the rows are moving."""
    web = daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080, rows=4096)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Echo(bed))
        balancer = stack.enter_context(consistency.started(bed, [web, echo_service(bed, "keep")], protection))
        old = stack.enter_context(Keep(bed, place.VIP4_NAT, PORT, FLOWS))
        wrk = traffic.Wrk(bed, traffic.url(place.VIP4_NAT, 80, "/quiet"), 60, connections=64)
        time.sleep(0.5)
        add(balancer, "keep", "b4")
        balancer.ctl("backend", "add", "web", f"{bed.backend('b4').v4}:8080", "--name", "b4")
        new = stack.enter_context(Keep(bed, place.VIP4_NAT, PORT, 200))
        stack.callback(wrk.kill)
        yield balancer, old, new, wrk


def upgrade(balancer) -> None:
    """What a package does: SIGTERM to the old lbd, then the new one, which brings a program of its own."""
    assert balancer.terminate() == 0
    balancer.start()


@protection
def test_kill_start_and_upgrade_lose_nothing(moving, protection, record_property):
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
        upgrade(balancer)
        time.sleep(1)
    after = daemon.pinned_ids(bed.pin_dir)
    reports = [one.settled() if protection == "on" else one.report() for one in (old, new)]
    outcome = wrk.stop()
    record_property("figure", f"M15, protection {protection}: {sum(r['broken'] for r in reports)} of 700 flows broken, "
                    f"wrk {outcome['errors']} errors in {outcome['requests']} requests, slowest answer "
                    f"{max(r['slowest_seconds'] for r in reports):.2f} s")
    assert {str(value) for _, _, value in seen.results} == {str(attached)} and seen.failures == []
    assert after["link"] == before["link"] and not after["prog"] & before["prog"]
    expect(protection, *reports)
    assert (outcome["errors"] == 0) == (protection == "on"), outcome["text"]


@pytest.mark.parametrize("protection", ["on"])
def test_control_detach_instead_of_upgrade_forgets_flows(moving, protection):
    """The control: the fast path taken down and put up again has no memory, and flows of moving rows break."""
    balancer, old, new, wrk = moving
    balancer.ctl("detach")
    balancer.process.wait(10)
    balancer.start().wait_resolved()
    time.sleep(2.5)
    expect("off", old.report(), new.report())


BPF_OBJ_GET, BPF_SYSCALL = 7, {"x86_64": 321, "aarch64": 280}[platform.machine()]
VERSION = slice(8, 12)  # behind the magic, in the tables as in the flow table


class _Pinned(ctypes.Structure):
    _fields_ = [("path", ctypes.c_char_p), ("descriptor", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


def first_page(path) -> mmap.mmap:
    """The beginning of a pinned array map's memory."""
    attributes = _Pinned(str(path).encode(), 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(BPF_SYSCALL, BPF_OBJ_GET, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"bpf(BPF_OBJ_GET) {path}")
    try:
        return mmap.mmap(descriptor, mmap.PAGESIZE)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["weir_tables", "weir_flows"])
def test_a_layout_that_lbd_does_not_know_is_refused_and_goes_on_forwarding(bed, balancer, name):
    """A version from the future: lbd says so and does not start, twice; new and open connections go on; with the right
    version it starts."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]).start().wait_resolved()
    with traffic.connect(bed, place.VIP4_NAT, 80) as kept:
        first = traffic.ask(kept)
        balancer.kill()
        page = first_page(bed.pin_dir / name)
        known = page[VERSION]
        assert 0 < int.from_bytes(known, "little") < 100, "the control: no version stands there"
        page[VERSION] = (999).to_bytes(4, "little")
        for _ in range(2):
            assert "layout version 999" in balancer.refuse()
            assert traffic.who(bed, place.VIP4_NAT, 80) and traffic.ask(kept) == first
        page[VERSION] = known
        balancer.start().wait_resolved()
        assert traffic.ask(kept) == first

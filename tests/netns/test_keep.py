# SPDX-License-Identifier: Apache-2.0
"""The checker itself: each fault that it has a name for is planted, without a balancer, and is found."""

import time

import pytest

import keeping
import servers
from keeping import Echo, Keep

PORT = 7010


@pytest.fixture
def echo(bed):
    with Echo(bed, ["b1"], PORT) as made:
        yield made


def direct(bed, count: int = 20, **options) -> Keep:
    """Watched connections to b1 itself, through the balancer's kernel."""
    return Keep(bed, bed.backend("b1").v4, PORT, count, interval=0.05, **options)


def test_keep_finds_no_fault_where_there_is_none(bed, echo):
    """20 connections, 10 answers each: none broken, all by b1."""
    with direct(bed) as keep:
        report = keep.settled(10)
    assert (report["broken"], report["open"], report["by_backend"]["b1"]["open"]) == (0, 20, 20)


@pytest.mark.parametrize("plant, fault", [(("reset", "b1"), "reset"), (("close", "b1"), "closed"),
                                          (("silence", "b1"), "timeout"), (("rename", "b1", "b2"), "wrong"),
                                          (("garble", "b1"), "garbled")],
                         ids=lambda value: value if isinstance(value, str) else "")
def test_keep_finds_a_planted_fault_on_every_connection(bed, echo, plant, fault):
    """The server resets, closes, falls silent, answers as another or answers another line: each is counted by name."""
    with direct(bed, patience=0.5) as keep:
        echo.ask(*plant)
        report = servers.wait_for(lambda: (r := keep.report())["broken"] == 20 and r, 5, "every connection is broken")
    assert (report[fault], report["open"]) == (20, 0), keeping.describe(report)
    assert {f["what"] for f in report["faults"]} == {fault} and {f["backend"] for f in report["faults"]} == {"b1"}


def test_keep_says_that_a_connection_was_refused(bed):
    """Nobody listens: refused, each."""
    keep = direct(bed)
    try:
        report = servers.wait_for(lambda: (r := keep.report())["broken"] == 20 and r, 5, "every connection is refused")
        assert (report["refused"], report["opening"]) == (20, 0), keeping.describe(report)
    finally:
        keep.stop()


def test_keep_counts_ends_of_its_own_as_ends(bed, echo):
    """Lifetimes of 0.2 to 0.5 s: all end with FIN, none is broken, and the time of the last one is known."""
    with direct(bed, lifetime="0.2:0.5") as keep:
        report = servers.wait_for(lambda: (r := keep.report())["ended"] == 20 and r, 5, "all have ended")
    assert report["broken"] == 0 and 0 < time.monotonic() - report["by_backend"]["b1"]["last_end"] < 3


def test_keep_replaces_what_has_ended(bed, echo):
    """--again: for each that ended another one is opened."""
    with direct(bed, lifetime="0.2:0.5", again=True) as keep:
        report = servers.wait_for(lambda: (r := keep.report())["ended"] >= 60 and r, 10, "60 have ended")
    assert report["broken"] == 0 and report["open"] + report["opening"] + report["closing"] == 20


def test_keep_is_silent_when_told_to_be(bed, echo):
    """Pace 0: not a line; nobody is judged for it; pace 0.05 again: all still live."""
    with direct(bed, patience=0.5) as keep:
        keep.ask("pace", 0)
        time.sleep(0.3)
        quiet = keep.report()
        time.sleep(0.8)
        assert keep.report()["lines"] == quiet["lines"]
        keep.ask("pace", 0.05)
        assert keep.settled()["broken"] == 0


def test_keep_watches_udp_flows(bed):
    """UDP: answers come, another name is seen, and a lost datagram is a time-out."""
    with Echo(bed, ["b1"], PORT, udp=True) as echo:
        with direct(bed, udp=True, patience=0.5) as keep:
            assert keep.settled()["broken"] == 0
            echo.ask("rename", "b1", "b2")
            report = servers.wait_for(lambda: (r := keep.report())["broken"] == 20 and r, 5, "all are wrong")
            assert report["wrong"] == 20
            echo.ask("rename", "b1", "b1")
        with direct(bed, udp=True, patience=0.5) as keep:
            echo.ask("silence", "b1")
            report = servers.wait_for(lambda: (r := keep.report())["broken"] == 20 and r, 5, "all are timed out")
            assert report["timeout"] == 20

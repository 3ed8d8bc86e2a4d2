# SPDX-License-Identifier: Apache-2.0
"""How much, how fast, how long; and what is counted at either end."""
import itertools
import json
import signal
import subprocess
import time

import pytest

from bed import LBGEN, PASS, TO

FLOWS = ("--flows", "1k", "--payload", 200, "--udp", 20)


def arrived(counted, port=80):
    return sum(row["packets"] for row in counted["rows"] if row["port"] == port)


@pytest.mark.parametrize("family,words,cpus", itertools.product((4, 6), ((), FLOWS), (1, 2)))
def test_as_many_packets_are_sent_and_arrive_as_were_asked_for(bed, family, words, cpus):
    with bed.counting("--drop") as counted:
        sent, _ = bed.send("--packets", 123457, "--cpus", cpus, *words, to=TO[family])
    assert (sent["packets"], sent["ended"], arrived(counted[0])) == (123457, "packets", 123457)
    assert sum(kind["packets"] for kind in sent["kinds"].values()) == 123457
    assert sent["bytes"] == sum(row["bytes"] for row in counted[0]["rows"] if row["port"] == 80)


@pytest.mark.parametrize("rate,cpus", ((1000, 1), (100_000, 1), (200_000, 2)))
def test_a_rate_is_held_to_within_three_percent(bed, rate, cpus):
    with bed.counting("--drop") as counted:
        started = time.monotonic()
        sent, error = bed.send("--rate", rate, "--seconds", 2, "--cpus", cpus)
        took = time.monotonic() - started
    assert sent["packets"] == pytest.approx(2 * rate, rel=0.03) == arrived(counted[0]), error
    assert sent["seconds"] == pytest.approx(2, rel=0.05) and took < 3
    assert sent["packets_per_second"] == pytest.approx(rate, rel=0.03)
    assert counted[0]["packets_per_second"] == pytest.approx(rate, rel=0.1)


def test_packets_at_a_rate_are_spread_over_the_time(bed):
    """By the receiver's own clock: after half of the time half of them are there."""
    with bed.counting("--drop", "--packets", 20000) as counted:
        bed.send("--rate", "20k", "--packets", 40000)
    assert counted[0]["ended"] == "packets"
    assert counted[0]["seconds"] == pytest.approx(1, rel=0.1)


def test_a_rate_that_cannot_be_reached_is_said(bed):
    with bed.program(PASS):
        sent, error = bed.send("--rate", "1G", "--seconds", 0.3)
    assert "packets/s, not 1000000000" in error and sent["ended"] == "seconds"


def test_without_a_bound_it_ends_after_ten_seconds(bed):
    with bed.program(PASS):
        sent, _ = bed.send("--rate", 10, timeout=20)
    assert (sent["packets"], sent["ended"]) == (100, "seconds")
    assert sent["seconds"] == pytest.approx(10, rel=0.05)


def test_the_first_bound_that_is_reached_ends_it(bed):
    with bed.program(PASS):
        assert bed.send("--packets", 50, "--seconds", 20)[0]["ended"] == "packets"
        sent, _ = bed.send("--packets", "1G", "--seconds", 0.5)
    assert sent["ended"] == "seconds" and sent["packets"] < 10**9 and sent["seconds"] < 1


def test_a_sender_whose_peer_takes_no_frames_fails_and_says_what_it_needs(bed):
    bed.run("receiver", "ethtool", "-K", "b0", "gro", "off")
    done = bed.run("sender", LBGEN, "send", "c0", "--to", TO[4], "--packets", 5000, check=False)
    assert done.returncode == 1 and "only with an XDP program (lbgen count) or GRO" in done.stderr


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_signal_ends_sending_at_once_with_its_counts(bed, number):
    with bed.program(PASS):
        command = bed.command("sender", LBGEN, "send", "c0", "--to", TO[4], "--seconds", 30, "-o", "json")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stderr.readline().startswith("lbgen: seed ")
        time.sleep(0.5)
        child.send_signal(number)
        started = time.monotonic()
        out, _ = child.communicate(timeout=20)
    assert time.monotonic() - started < 2
    sent = json.loads(out)
    assert (child.returncode, sent["ended"]) == (128 + number, "signal") and sent["packets"] > 0


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
def test_a_counter_that_is_ended_leaves_no_program_behind(bed, number):
    child = subprocess.Popen(bed.command("receiver", LBGEN, "count", "b0", "--seconds", 30, "-o", "json"),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr.readline() == "lbgen: counting on b0\n"
    assert bed.has_program("receiver", "b0")
    child.send_signal(number)
    out, _ = child.communicate(timeout=20)
    for _ in range(100):  # after SIGKILL the kernel takes it off when the last descriptor is gone
        if not bed.has_program("receiver", "b0"):
            break
        time.sleep(0.02)
    assert not bed.has_program("receiver", "b0")
    if number != signal.SIGKILL:
        assert (child.returncode, json.loads(out)["ended"]) == (128 + number, "signal")


def test_counts_are_by_protocol_flags_and_port(bed):
    with bed.counting("--drop") as counted:
        bed.send("--flows", 100, "--packets", 500, "--payload", 100, "--udp", 100, to="203.0.113.10:53")
        bed.send("--flows", 100, "--packets", 500, "--payload", 100)
        bed.send("--packets", 70, to="[2001:db8:f::10]:443")
    rows = {(row["family"], row["protocol"], row["flags"], row["port"]): (row["packets"], row["bytes"])
            for row in counted[0]["rows"] if row["port"] != 0}
    assert rows == {(4, "udp", "", 53): (500, 500 * 142), (4, "tcp", "syn", 80): (100, 6000),
                    (4, "tcp", "ack", 80): (100, 6000), (4, "tcp", "psh,ack", 80): (300, 300 * 154),
                    (6, "tcp", "syn", 443): (70, 70 * 78)}
    assert counted[0]["unlisted"] == 0


@pytest.mark.parametrize("words,reach", (((), 200), (("--drop",), 0)))
def test_counted_packets_reach_the_kernel_unless_they_are_to_be_dropped(bed, words, reach):
    with bed.listening() as heard:
        with bed.counting(*words) as counted:
            bed.send("--packets", 200, "--rate", "10k")
        assert (arrived(counted[0]), len(heard())) == (200, reach)


def test_counting_ends_at_its_bounds(bed):
    done = bed.run("receiver", LBGEN, "count", "b0", "--seconds", 0.3, "-o", "json")
    assert json.loads(done.stdout)["ended"] == "seconds"
    with bed.counting() as counted:
        bed.send("--packets", 10)
    assert counted[0]["ended"] == "idle"


def test_tables_for_people_hold_what_the_documents_hold(bed):
    with bed.program(PASS):
        done = bed.run("sender", LBGEN, "send", "c0", "--to", TO[4], "--packets", 1000, "--seed", 3)
    lines = done.stdout.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["KIND", "PACKETS", "BYTES", "FRAME"], ["syn", "1000", "60000", "60"], ["all", "1000", "60000", "-"]]
    assert lines[4].startswith("198.18.0.0/15 -> 203.0.113.10:80 through c0 to ") and lines[4].endswith("seed 3")
    assert lines[5].endswith("ended by packets")

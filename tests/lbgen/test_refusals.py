# SPDX-License-Identifier: Apache-2.0
"""What lbgen does not do, and that it says why. Nothing is sent in any of these."""
import contextlib

import pytest

from bed import LBGEN, PASS, TO

REFUSED = 5


@contextlib.contextmanager
def route(bed, line):
    bed.ip("sender", line.replace("route", "route add", 1))
    try:
        yield
    finally:
        bed.ip("sender", line.replace("route", "route del", 1))


@pytest.mark.parametrize("line,family", (
    ("route default via 192.0.2.2", 4), ("route default dev c0 table 77", 4),
    ("-6 route default via 2001:db8:1::2", 6),
    ("route default nexthop via 192.0.2.2 dev c0 weight 1 nexthop via 192.0.2.3 dev c0 weight 1", 4)))
def test_an_interface_with_a_default_route_is_refused_by_name(bed, line, family):
    with route(bed, line):
        code, error = bed.refusal()
    assert code == REFUSED and f"c0 carries the IPv{family} default route" in error


@pytest.mark.parametrize("make,upper", (
    (("link add br0 type bridge", "link set br0 up", "link set c0 master br0"), "br0"),
    (("link add mv0 link c0 type macvlan", "link set mv0 up"), "mv0")))
def test_a_port_of_what_carries_the_default_route_is_refused(bed, make, upper):
    bed.ip("sender", *make)
    try:
        with route(bed, f"route default dev {upper}"):
            code, error = bed.refusal("--mac", "02:00:00:00:00:99")
    finally:
        bed.ip("sender", f"link del {upper}")
    assert code == REFUSED and f"c0 carries frames of {upper}" in error


def test_dropping_where_the_default_route_is_is_refused(bed):
    bed.ip("receiver", "route add default via 192.0.2.1")
    try:
        done = bed.run("receiver", LBGEN, "count", "b0", "--drop", "--seconds", 1, check=False)
        assert done.returncode == REFUSED and "b0 carries the IPv4 default route" in done.stderr
        assert bed.run("receiver", LBGEN, "count", "b0", "--seconds", 0.1).returncode == 0
    finally:
        bed.ip("receiver", "route del default")


@pytest.mark.parametrize("to", ("8.8.8.8:80", "192.0.3.1:80", "198.20.0.1:80", "[2001:db9::1]:80", "10.0.0.1:80"))
def test_a_destination_outside_the_ranges_for_tests_is_refused(bed, to):
    code, error = bed.refusal("--mac", "02:00:00:00:00:99", to=to)
    assert code == REFUSED and f"--to {to}" in error and "198.18.0.0/15" in error


@pytest.mark.parametrize("sources,family", (
    ("0.0.0.0/0", 4), ("198.18.0.0/14", None), ("198.16.0.0/14", 4), ("10.0.0.0/8", 4), ("192.0.2.0/23", 4),
    ("203.0.112.0/23", 4), ("2001:db8::/31", 6), ("2001:db0::/28", 6), ("fd00::/8", 6)))
def test_sources_outside_the_ranges_for_tests_are_refused(bed, sources, family):
    code, error = bed.refusal("--from", sources, "--mac", "02:00:00:00:00:99", to=TO[family or 4])
    assert code == (REFUSED if family else 1) and f"--from {sources if family else ''}" in error


@pytest.mark.parametrize("words,message", (
    (("--from", "2001:db8:5a::/48"), "of different families"),
    (("--from", "203.0.113.0/24"), "contains the destination"),
    (("--from", "198.51.100.1/32", "--flows", "33k"), "no more than 32768"),
    (("--first-port", 40000), "at most 32768"),
    (("--payload", 10, "--size", 100), "exclude each other"),
    (("--size", 40), "has 60 bytes at least"),
    (("--size", 1515), "too long for c0, which takes 1514"),
    (("--payload", 5000), "too long"),
    (("--flows", 1, "--cpus", 2), "--cpus 2"),
    (("--rate", "fast"), "--rate \"fast\" is not a count"),
    (("--rate", "0"), "--rate \"0\" is not a count"),
    (("--seconds", "0"), "--seconds \"0\" is not a time"),
    (("--seconds", "1e9"), "is not a time"),
    (("--mac", "02:00:00"), "is not a MAC address")))
def test_what_makes_no_sense_is_an_error_that_names_it(bed, words, message):
    code, error = bed.refusal(*words)
    assert code == 1 and message in error


def test_a_group_address_is_refused(bed):
    code, error = bed.refusal("--mac", "ff:ff:ff:ff:ff:ff")
    assert code == REFUSED and "group address" in error


def test_interfaces_that_cannot_send_are_named(bed):
    assert bed.refusal(interface="nothere") == (1, "lbgen: there is no interface nothere; see: ip link\n")
    assert "carries no Ethernet" in bed.refusal(interface="lo")[1]
    bed.ip("sender", "link add br9 type bridge")
    try:
        assert "br9 is down" in bed.refusal(interface="br9")[1]
    finally:
        bed.ip("sender", "link del br9")


def test_a_destination_without_a_way_needs_a_mac(bed):
    assert "no route to 198.51.100.9" in bed.refusal(to="198.51.100.9:80")[1]
    assert "own address" in bed.refusal(to="192.0.2.1:80")[1]
    code, error = bed.refusal(to="192.0.2.77:80")
    assert code == 1 and "192.0.2.77 on c0 does not answer ARP" in error
    code, error = bed.refusal(to="[2001:db8:1::77]:80")
    assert code == 1 and "does not answer neighbour discovery" in error


def test_another_party_s_program_on_the_interface_is_left_alone(bed):
    with bed.program(PASS):
        done = bed.run("receiver", LBGEN, "count", "b0", "--seconds", 1, check=False)
        assert done.returncode == 1 and "b0 already has an XDP program" in done.stderr
        assert bed.has_program("receiver", "b0")


@pytest.mark.parametrize("words", ((), ("send",), ("send", "c0"), ("send", "c0", "--to"), ("count",),
                                   ("send", "c0", "--to", TO[4], "--udp", "101"), ("spray", "c0")))
def test_wrong_usage_is_exit_two(bed, words):
    done = bed.run("sender", LBGEN, *words, check=False)
    assert (done.returncode, done.stdout) == (2, "") and "see lbgen --help" in done.stderr

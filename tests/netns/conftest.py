# SPDX-License-Identifier: Apache-2.0
"""Fixtures: beds for the session, an lbd per test, a time limit on each. What is missing fails, it does not skip."""

import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import bed as beds
import daemon
import servers
import unwrap

TOOLS = ("ip ethtool nginx sshd ssh ssh-keygen curl wrk tcpdump bpftool openssl ping setpriv clang-14").split()
PROGRAMS = (daemon.LBD, daemon.LBCTL, daemon.LBGEN, daemon.FORMER, unwrap.LB_DECAP)
TIME_LIMIT = 60  # seconds per test; @pytest.mark.limit(N) sets another

_balancers = []  # those that live now, for the report of a test that fails


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): time limit of this test")


def pytest_sessionstart():
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    missing += [str(program) for program in PROGRAMS if not program.exists()]
    if os.geteuid() != 0:
        pytest.exit("tests/netns makes namespaces and attaches XDP programs; run it as root", returncode=1)
    if missing:
        pytest.exit(f"tests/netns needs {', '.join(missing)}; run: scripts/setup", returncode=1)
    for stem in ("wt", "ws", "w2"):
        beds.remove_abandoned(stem)


def _session_bed(stem: str, layout: str):
    made = beds.Bed(f"{stem}{os.getpid()}", layout).up()
    try:
        servers.start_all(made)
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def bed():
    """The routed bed, nginx and sshd running, no lbd."""
    yield from _session_bed("wt", "routed")


@pytest.fixture(scope="session")
def switch_bed():
    """The one-armed bed: everybody on one bridge."""
    yield from _session_bed("ws", "switch")


def running(bed, host: str = "lb"):
    """A generator that yields an lbd not yet started and removes every trace of it afterwards."""
    made = daemon.Balancer(bed, host, host)
    _balancers.append(made)
    try:
        yield made
    finally:
        _balancers.remove(made)
        made.remove()


@pytest.fixture
def balancer(bed):
    """An lbd on the routed bed, for one test; configure() and start() are the test's."""
    yield from running(bed)


@pytest.fixture
def memory_state(balancer):
    """The balancer's state directory in memory, for tests of time: what a disk takes for a flush is the disk's affair,
    and anything from 0.4 to 12 ms for one change on the machines these tests were written on."""
    with tempfile.TemporaryDirectory(prefix="weir-state-", dir="/dev/shm") as directory:
        balancer.state_dir = pathlib.Path(directory)
        yield balancer


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Ends a test that does not end."""
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else TIME_LIMIT

    def late(*_):
        raise TimeoutError(f"the test ran longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds lbd's last lines to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for made in _balancers:
            if made.log.exists():
                last = "\n".join(made.log.read_text().splitlines()[-40:])
                report.sections.append((f"lbd on {made.bed.prefix}", last))


def pytest_terminal_summary(terminalreporter):
    """Prints the figures that tests recorded with record_property("figure", text)."""
    figures = [value for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
               if report.when == "call" for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("measured")
        for figure in figures:
            terminalreporter.write_line(figure)

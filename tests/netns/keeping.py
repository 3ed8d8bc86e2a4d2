# SPDX-License-Identifier: Apache-2.0
"""keep.py and echo.py as tests use them: an echo on every backend, watched connections of the client to a VIP."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time

import bed as beds
from layout import endpoint

KEEP, ECHO = (pathlib.Path(__file__).parent / name for name in ("keep.py", "echo.py"))
PORT = 7007  # of the echo on the backends


class _Program:
    """A program that is asked by lines on its stdin."""

    def __init__(self, bed: beds.Bed, host, *words):
        command = [sys.executable, *map(str, words)]
        with bed.inside(host) if host else contextlib.nullcontext():
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                             start_new_session=True)

    def ask(self, *words) -> dict:
        """One command and its answer."""
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            asked = f"{self._process.args[1]}, asked {words}"
            raise beds.BedError(f"{asked}, ended with {self._process.wait(5)}")
        return json.loads(line)

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


class Echo(_Program):
    """The echo servers of several hosts, in one process."""

    def __init__(self, bed: beds.Bed, hosts=None, ports=PORT, *, udp: bool = False, address: str = "::"):
        """`ports` is a number or "FIRST-LAST"."""
        names = [b.name for b in bed.backends] if hosts is None else hosts
        super().__init__(bed, None, ECHO, "--address", address, *(("--udp",) if udp else ()), bed.prefix, ports, *names)
        self.ask("count")  # it listens

    def open_on(self, host: str, port: int = PORT) -> int:
        """Connections that this backend holds open, by what its own kernel knows."""
        return self.ask("count")[host].get(str(port), 0)

    def __enter__(self) -> "Echo":
        return self

    def __exit__(self, *_) -> None:
        self.stop()


class Keep(_Program):
    """So many connections of the client to `vip`:`port`, watched from entry to exit; entered when all are open.

    Keywords are the options of keep.py: interval=0.2, lifetime="1:20", source_port=40000, udp=True ...
    """

    def __init__(self, bed: beds.Bed, vip: str, port: int, connections: int, opening: float = 20, **options):
        words = []
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
        super().__init__(bed, "client", KEEP, *words, "--connections", connections, endpoint(vip, port))
        self._opening = opening

    def __enter__(self) -> "Keep":
        try:
            return self.wait_open(self._opening)
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_) -> None:
        self.stop()

    def wait_open(self, seconds: float = 20) -> "Keep":
        """Until each connection has had its first answer (or broken, or ended)."""
        end = time.monotonic() + seconds
        while (state := self.report())["opening"] or "none" in state["by_backend"]:
            if state["broken"] or time.monotonic() > end:
                raise AssertionError(f"the connections did not open: {describe(state)}")
            time.sleep(0.02)
        return self

    def report(self) -> dict:
        return self.ask("report")

    def settled(self, answers_each: int = 2, seconds: float = 8) -> dict:
        """The report when every connection has been answered so many times from here on, or is known to have broken."""
        before = self.report()
        wanted = before["answers"] + answers_each * before["open"]
        end = time.monotonic() + seconds
        while (state := self.report())["answers"] < wanted - answers_each * (before["open"] - state["open"]):
            if time.monotonic() > end:
                raise AssertionError(f"{wanted} answers wanted after {seconds} s: {describe(state)}")
            time.sleep(0.05)
        return state

    def on(self, host: str) -> dict:
        """{"open": n, "broken": n, "ended": n, "last_end": when} of the connections that began with this backend."""
        return {"open": 0, "broken": 0, "ended": 0} | self.report()["by_backend"].get(host, {})

    def where(self) -> dict:
        """{source port: backend} of the open ones."""
        return {int(port): host for port, host in self.ask("where").items()}


def describe(report: dict) -> str:
    """The report in a line, and its first faults: for the message of an assertion."""
    counts = {name: value for name, value in report.items() if name != "faults"}
    return f"{counts}; first faults: {report['faults'][:5]}"

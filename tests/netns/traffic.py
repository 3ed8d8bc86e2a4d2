# SPDX-License-Identifier: Apache-2.0
"""Traffic through the bed and eyes on it: curl, plain connections, kept connections, wrk, tcpdump, kernel counters."""

import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import bed as beds
from layout import endpoint

SETTLED = 0.3  # seconds that frames may be on their way into a capture's file
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT: the port can be used again at once


def url(vip: str, port: int, path: str = "/", scheme: str = "http") -> str:
    return f"{scheme}://{endpoint(vip, port)}{path}"


def curl(bed: beds.Bed, target: str, *options, check=True) -> str:
    """What curl on the client gets, one request on a connection of its own."""
    return bed.run("client", "curl", "-sS", "--max-time", "15", "--noproxy", "*", *options, target, check=check).stdout


def connect(bed: beds.Bed, vip: str, port: int, source_port: int = 0, timeout: float = 3) -> socket.socket:
    """A TCP connection from the client, by a chosen source port when given; closing it sends a reset."""
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with bed.inside("client"):
        made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        made.settimeout(timeout)
        if source_port:
            made.bind(("::" if ":" in vip else "0.0.0.0", source_port))
        made.connect((vip, port))
    except BaseException:
        made.close()
        raise
    return made


def datagram_socket(bed: beds.Bed, family: int, timeout: float = 2) -> socket.socket:
    """A UDP socket of the client, family 4 or 6."""
    with bed.inside("client"):
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    made.settimeout(timeout)
    return made


def ask(connection: socket.socket, path: str = "/quiet") -> str:
    """One HTTP request on an open connection; the body, which is the backend's name. OSError when it broke."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: vip\r\n\r\n".encode())
    got = b""
    while not got.endswith(b"\n") or b"\r\n\r\n" not in got or got.endswith(b"\r\n\r\n"):
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionError(f"closed by the peer after {got!r}")
        got += chunk
    return got.rpartition(b"\r\n\r\n")[2].decode().strip()


def who(bed: beds.Bed, vip: str, port: int, source_port: int = 0, timeout: float = 3) -> str:
    """The backend that answers a new connection."""
    with connect(bed, vip, port, source_port, timeout) as connection:
        return ask(connection)


class Loop:
    """Calls `step` in a thread until ended; keeps what it returned and raised. With `who` in it: steady connections."""

    def __init__(self, step, pause: float = 0.0):
        self._step, self._pause, self._ended = step, pause, threading.Event()
        self.results, self.failures = [], []  # (start, end, value) and (start, error); times are time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ended.is_set():
            start = time.monotonic()
            try:
                self.results.append((start, time.monotonic(), self._step()))
            except Exception as error:  # each is evidence; the test asserts on the list
                self.failures.append((start, repr(error)))
            self._ended.wait(self._pause)

    def __enter__(self) -> "Loop":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join(30)


class Wrk:
    """wrk on the client, in the background; result() waits for it."""

    def __init__(self, bed: beds.Bed, target: str, seconds: int, connections: int = 64):
        words = ("wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", target)
        self._process = bed.popen("client", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._limit = seconds + 20

    def result(self) -> dict:
        """{"requests": N, "errors": M, "text": ...}; errors counts socket errors and answers other than 2xx."""
        text = self._process.communicate(timeout=self._limit)[0]
        requests = re.search(r"(\d+) requests in", text)
        socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        errors = sum(int(n) for n in socket_errors.groups()) if socket_errors else 0
        errors += int(other.group(1)) if other else 0
        assert requests, f"wrk said: {text}"
        return {"requests": int(requests.group(1)), "errors": errors, "text": text}

    def stop(self) -> dict:
        """Ends it early and returns the result so far."""
        self._process.send_signal(signal.SIGINT)
        return self.result()

    def kill(self) -> None:
        """Ends it, whatever it was at; twice is no fault."""
        self._process.kill()
        self._process.wait()


class Capture:
    """tcpdump on one interface of one host, from entry to exit of the `with` block."""

    def __init__(self, bed: beds.Bed, host: str, interface: str, expression: str = ""):
        self._bed, self._host, self._words = bed, host, expression.split()
        self.file = bed.run_dir / f"capture-{host}-{interface}-{time.monotonic_ns()}.pcap"
        self._interface, self._process = interface, None

    def __enter__(self) -> "Capture":
        self.start()
        return self.wait()

    def __exit__(self, *_) -> None:
        time.sleep(SETTLED)
        self.stop()

    def start(self) -> None:
        self._process = self._bed.popen(
            self._host, "tcpdump", "-i", self._interface, "-n", "-U", "-B", "16384", "--immediate-mode", "-Z", "root",
            "-w", self.file, *self._words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait(self) -> "Capture":
        """Until tcpdump listens."""
        line = self._process.stderr.readline()
        while line and "listening on" not in line:
            line = self._process.stderr.readline()
        if not line:
            raise beds.BedError(f"tcpdump on {self._host} ended: {self._process.wait()}")
        return self

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        said = self._process.communicate(timeout=10)[1]
        dropped = re.search(r"(\d+) packets? dropped by kernel", said)
        assert dropped and dropped.group(1) == "0", f"tcpdump lost frames: {said}"

    def lines(self, expression: str = "") -> list:
        """The frames, one line each, with checksums verified (`-vv` says "incorrect" where one is wrong)."""
        return self._read(["-v", "-v"], expression).splitlines()

    def times(self, expression: str = "") -> list:
        """When each frame came, by time.time()."""
        return [float(line.split()[0]) for line in self._read(["-tt"], expression).splitlines()]

    def sources(self, expression: str = "") -> str:
        """The frames as short lines: "... IP 192.0.2.1.40000 > 198.51.100.11.80: ..."."""
        return self._read(["-q"], expression)

    def count(self, expression: str = "") -> int:
        return len(self._read([], expression).splitlines())

    def bytes(self, expression: str = "") -> int:
        """The lengths of the frames, Ethernet header included, as they were on the wire."""
        text = self._read(["-e"], expression)
        return sum(int(n) for n in re.findall(r"\), length (\d+): ", text))

    def _read(self, options, expression: str) -> str:
        return beds.run("tcpdump", "-n", "-Z", "root", *options, "-r", self.file, *expression.split()).stdout


class Captures(dict):
    """Captures on the same interface of several hosts, by host."""

    def __init__(self, bed: beds.Bed, hosts, interface: str, expression: str = ""):
        super().__init__((host, Capture(bed, host, interface, expression)) for host in hosts)

    def __enter__(self) -> "Captures":
        for step in (Capture.start, Capture.wait):
            for capture in self.values():
                step(capture)
        return self

    def __exit__(self, *_) -> None:
        time.sleep(SETTLED)
        for capture in self.values():
            capture.stop()


def forget_mtu(bed: beds.Bed) -> None:
    """The client and the backends forget what they have learned of the MTU of paths."""
    for host in ["client"] + [b.name for b in bed.backends]:
        for words in (("-4",), ("-6",), ("-6", "table", "100")):  # as a VIP on lo
            bed.run(host, "ip", words[0], "route", "flush", "cache", *words[1:], check="table" not in words)


def counter(bed: beds.Bed, host: str, name: str) -> int:
    """A kernel counter of /proc/net/{snmp,netstat,snmp6}: "TcpInCsumErrors", "Udp6InCsumErrors"."""
    with bed.inside(host):
        tables = {name: pathlib.Path("/proc/thread-self/net", name).read_text()
                  for name in ("snmp", "netstat", "snmp6")}
    for line in tables["snmp6"].splitlines():
        if line.split()[0] == name:
            return int(line.split()[1])
    for table in ("snmp", "netstat"):
        lines = tables[table].splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            protocol = names.partition(":")[0]
            for key, value in zip(names.split()[1:], values.split()[1:]):
                if protocol + key == name:
                    return int(value)
    raise KeyError(name)


def interface_counter(bed: beds.Bed, host: str, interface: str, pattern: str) -> int:
    """The sum of the `ethtool -S` counters whose names match `pattern` whole."""
    shown = bed.run(host, "ethtool", "-S", interface).stdout
    return sum(int(value) for name, value in re.findall(r"(\S+): (\d+)", shown) if re.fullmatch(pattern, name))

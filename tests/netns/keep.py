#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""keep: very many connections at once, and for each a verdict: did it live, and with the backend that it began with?

Opens connections to ADDRESS:PORT, where echo.py answers, and sends a numbered line on each, every --interval seconds.
One process, one epoll: 2000 connections, 10 000 lines a second, take a fifth of a 2.3 GHz core, their echo an eighth.

It takes commands on stdin, one per line, answers each with one line of JSON, and ends when stdin ends:
  report              counts, and the first faults one by one
  where               {source port: backend} of the open ones
  open N, close N [BACKEND], pace SECONDS, end

`broken` counts connections, each once, by its first fault:
  reset     a RST came                       closed    the peer closed
  timeout   no answer within --patience      wrong     another backend than before answered
  refused   it could not be opened           garbled   the answer was not to the line sent
Kept off the CPU, it reads what has arrived before it judges: a slow machine makes no time-out of its own.
"""

import argparse
import collections
import errno
import random
import select
import socket
import struct
import time

import commands

TICK = 0.01  # seconds between two bursts of lines
AT_ONCE = 200  # connections that are being opened at one time
FAULTS = ("reset", "closed", "timeout", "wrong", "refused", "garbled")
LISTED = 20  # faults that a report describes one by one
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    __slots__ = ("number", "socket", "home", "line", "sent", "sequence", "ends", "state", "rest", "port")

    def __init__(self, number: int, ends: float):
        self.number, self.ends = number, ends
        self.home, self.line, self.rest = b"", b"", b""  # home: "b1 ", the begin of each answer; line: not yet answered
        self.sent, self.sequence, self.port = 0.0, 0, 0
        self.state = "opening"  # then open, closing (by us), ended, or one of FAULTS


class Watcher:
    """The client. `connections` keeps all, `live` the sockets by descriptor."""

    def __init__(self, options):
        address, _, port = options.target.rpartition(":")
        self.address = (address.strip("[]"), int(port))
        self.family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.kind = socket.SOCK_DGRAM if options.udp else socket.SOCK_STREAM
        self.interval, self.patience, self.lifetime = options.interval, options.patience, options.lifetime
        self.source, self.again = options.source_port, options.again
        self.random = random.Random(options.seed)
        self.epoll, self.live, self.connections, self.waiting = select.epoll(), {}, [], collections.deque()
        self.counts, self.faults = collections.Counter(), []
        self.opening, self.turn, self.owed, self.slowest, self.last_fault = 0, 0, 0.0, 0.0, None
        self.ended = False
        self.do_open(options.connections)

    # -- commands ------------------------------------------------------------------------------------------------------

    def do_open(self, count) -> dict:
        """Opens so many more."""
        self.waiting.extend([None] * int(count))
        return {}

    def do_pace(self, seconds) -> dict:
        """One line per connection every so many seconds; 0: silence."""
        self.interval, self.owed = float(seconds), 0.0
        return {}

    def do_close(self, count, home="") -> dict:
        """Ends so many open ones with FIN, of that backend if one is named."""
        chosen = [c for c in self.connections if c.state == "open" and c.home.decode().startswith(home)][:int(count)]
        for connection in chosen:
            self.close(connection)
        return {"closed": len(chosen)}

    def do_report(self) -> dict:
        states = collections.Counter(c.state for c in self.connections)
        homes = {}
        for connection in self.connections:
            home = homes.setdefault(connection.home.decode().strip() or "none", collections.Counter())
            home["broken" if connection.state in FAULTS else connection.state] += 1
            if connection.state == "ended":
                home["last_end"] = max(home["last_end"], connection.sent)
        return {"connections": len(self.connections), "opening": len(self.waiting) + states["opening"],
                "open": states["open"], "closing": states["closing"], "ended": states["ended"],
                "broken": sum(states[fault] for fault in FAULTS), **{fault: states[fault] for fault in FAULTS},
                "answers": self.counts["answers"], "lines": self.counts["lines"], "unanswered": self.unanswered(),
                "slowest_seconds": round(self.slowest, 4), "by_backend": homes, "faults": self.faults,
                "last_fault": self.last_fault, "cpu_seconds": round(time.process_time(), 3)}

    def do_end(self) -> dict:
        """The last report; then every connection is closed with FIN, and the program ends."""
        self.ended = True
        return self.do_report()

    def do_where(self) -> dict:
        """{source port: backend} of the open ones."""
        return {c.port: c.home.decode().strip() for c in self.connections if c.state == "open"}

    def unanswered(self) -> int:
        return sum(1 for c in self.connections if c.line and c.state == "open")

    # -- one connection ------------------------------------------------------------------------------------------------

    def open_more(self, now: float) -> None:
        while self.waiting and self.opening < AT_ONCE:
            self.waiting.popleft()
            ends = now + self.random.uniform(*self.lifetime) if self.lifetime else float("inf")
            connection = Connection(len(self.connections), ends)
            self.connections.append(connection)
            made = connection.socket = socket.socket(self.family, self.kind | socket.SOCK_NONBLOCK)
            if self.kind == socket.SOCK_STREAM:  # UDP sockets that may reuse addresses get ports twice
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.source:
                made.bind(("", self.source + connection.number))
            self.live[made.fileno()] = connection
            self.epoll.register(made.fileno(), select.EPOLLIN | select.EPOLLOUT)
            connection.sent = now
            self.opening += 1
            failure = made.connect_ex(self.address)
            connection.port = made.getsockname()[1]
            if failure not in (0, errno.EINPROGRESS):
                self.fault(connection, "refused", now)

    def opened(self, connection, now: float) -> None:
        failure = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self.fault(connection, "refused", now)
            return
        self.epoll.modify(connection.socket.fileno(), select.EPOLLIN)
        self.opening -= 1
        connection.state = "open"
        self.send(connection, now)  # the first line, so that its backend is known

    def send(self, connection, now: float) -> None:
        connection.sequence += 1
        connection.line, connection.sent = b"%d %d\n" % (connection.number, connection.sequence), now
        self.counts["lines"] += 1
        try:
            connection.socket.send(connection.line)
        except BlockingIOError:
            pass  # a full buffer: the answer stays away, and the time-out says so
        except OSError:
            self.fault(connection, "reset", now)

    def receive(self, connection, now: float) -> None:
        try:
            data = connection.rest + connection.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as failure:
            self.fault(connection, "reset" if failure.errno == errno.ECONNRESET else "refused", now)
            return
        if connection.state == "closing":
            if not data:  # else the answer to a line that was on its way
                self.release(connection)
                connection.state, connection.sent = "ended", time.monotonic()
        elif not data:
            self.fault(connection, "closed", now)
        elif data == connection.home + connection.line:
            self.answered(connection, now)
        elif not data.endswith(b"\n"):
            connection.rest = data
        else:
            name, _, line = data.partition(b" ")
            if line != connection.line:
                self.fault(connection, "garbled", now, data.decode(errors="replace"))
            elif connection.home:
                self.fault(connection, "wrong", now, name.decode())
            else:
                connection.home = name + b" "
                self.answered(connection, now)

    def answered(self, connection, now: float) -> None:
        connection.line = connection.rest = b""
        self.counts["answers"] += 1
        self.slowest = max(self.slowest, now - connection.sent)

    def close(self, connection) -> None:
        """FIN; the peer's FIN ends it. A UDP socket has neither."""
        if self.kind == socket.SOCK_DGRAM:
            self.release(connection)
            connection.state, connection.sent = "ended", time.monotonic()
            return
        connection.state, connection.sent = "closing", time.monotonic()
        connection.line = b""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.fault(connection, "reset", connection.sent)

    def fault(self, connection, what: str, now: float, detail: str = "") -> None:
        self.last_fault = now
        if len(self.faults) < LISTED:
            self.faults.append({"connection": connection.number, "source_port": connection.port, "what": what,
                                "backend": connection.home.decode().strip(), "was": connection.state, "time": now,
                                "sequence": connection.sequence, "detail": detail})
        self.opening -= connection.state == "opening"
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.release(connection)
        connection.state = what

    def release(self, connection) -> None:
        del self.live[connection.socket.fileno()]
        connection.socket.close()
        if self.again and not self.ended:
            self.waiting.append(None)

    # -- all of them ---------------------------------------------------------------------------------------------------

    def visit(self, now: float, passed: float) -> None:
        """Sends on those whose turn it is, in a circle: every connection once per interval."""
        live = list(self.live.values())
        if now >= self.judged:
            self.judged = now + 0.1
            self.judge(live, now)
        if not self.interval or not live:
            return
        self.owed = min(self.owed + passed * len(live) / self.interval, len(live))
        while self.owed >= 1:
            self.owed -= 1
            self.turn = (self.turn + 1) % len(live)
            if live[self.turn].state == "open" and not live[self.turn].line:
                self.send(live[self.turn], now)

    def judge(self, live: list, now: float) -> None:
        for connection in live:
            waits = connection.line or connection.state in ("opening", "closing")
            if waits and now - connection.sent > self.patience:
                self.fault(connection, "timeout", now)
            elif connection.state == "open" and now > connection.ends and not connection.line:
                self.close(connection)

    def run(self) -> None:
        orders, last, self.judged = commands.Commands(self, self.epoll), time.monotonic(), 0.0
        while not self.ended:
            self.open_more(time.monotonic())
            for descriptor, _ in self.epoll.poll(TICK, 65536):
                now = time.monotonic()
                connection = self.live.get(descriptor)
                if connection is None:
                    if descriptor == 0 and not orders.read():
                        return
                elif connection.state == "opening":
                    self.opened(connection, now)
                else:
                    self.receive(connection, now)
            now = time.monotonic()
            if now - last >= TICK:
                self.visit(now, now - last)
                last = now


def seconds_range(text: str) -> tuple:
    first, _, last = text.partition(":")
    return float(first), float(last or first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="ADDRESS:PORT")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two lines of one; 0: silence")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds until an answer is a time-out")
    parser.add_argument("--lifetime", type=seconds_range, help="MIN:MAX seconds, then a connection ends with FIN")
    parser.add_argument("--again", action="store_true", help="one that has ended or broken is followed by another")
    parser.add_argument("--source-port", type=int, default=0, help="the first connection's; one more for each")
    parser.add_argument("--seed", type=int, default=1, help="of the lifetimes")
    parser.add_argument("--udp", action="store_true")
    commands.allow_descriptors()
    Watcher(parser.parse_args()).run()


if __name__ == "__main__":
    main()

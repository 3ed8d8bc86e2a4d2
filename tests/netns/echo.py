#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The other end of keep.py: on several hosts of a bed, answers each line with the backend's name and the line.

One process serves all hosts; it runs outside the bed and makes its sockets inside. It ends when stdin ends. Commands on
stdin, each answered by one line of JSON: count; reset, close, silence, garble HOST; rename HOST NAME, to plant faults.
"""

import argparse
import collections
import select
import socket
import struct

import bed as beds
import commands

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Server:
    """The echo. One socket per host listens; all are served by one loop. Commands name a host, to plant faults."""

    def __init__(self, options):
        bed, kind = beds.Bed.standing(options.prefix), socket.SOCK_DGRAM if options.udp else socket.SOCK_STREAM
        self.epoll, self.listeners, self.peers, self.names = select.epoll(), {}, {}, {}
        self.silent, self.garbling, self.closing = set(), set(), set()
        self.udp = options.udp
        for host in options.hosts:
            self.names[host] = host.encode() + b" "
            for port in options.ports:
                with bed.inside(host):
                    made = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((options.address, port))
                if not self.udp:
                    made.listen(4096)
                self.listeners[made.fileno()] = (made, host)
                self.epoll.register(made.fileno(), select.EPOLLIN)

    def do_count(self) -> dict:
        """Open connections: {"b1": {"7007": 12}}."""
        counts = {host: collections.Counter() for host in self.names}
        for made, host in self.peers.values():
            counts[host][made.getsockname()[1]] += 1
        return counts

    def do_reset(self, host) -> dict:
        """Ends every connection of that host with a RST."""
        chosen = [made for made, name in self.peers.values() if name == host]
        for made in chosen:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.drop(made)
        return {"reset": len(chosen)}

    def do_close(self, host) -> dict:
        """Ends every connection of that host with a FIN. The sockets go when the client has ended as well: one that is
        closed while something is unread sends a RST."""
        chosen = [made for made, name in self.peers.values() if name == host]
        for made in chosen:
            self.closing.add(made)
            made.shutdown(socket.SHUT_WR)
        return {"closed": len(chosen)}

    def do_silence(self, host) -> dict:
        """That host answers no more."""
        self.silent.add(host)
        return {}

    def do_rename(self, host, name) -> dict:
        """That host answers with another name."""
        self.names[host] = name.encode() + b" "
        return {}

    def do_garble(self, host) -> dict:
        """That host answers another line than was sent."""
        self.garbling.add(host)
        return {}

    def drop(self, made) -> None:
        del self.peers[made.fileno()]
        self.closing.discard(made)
        made.close()

    def serve(self, made, host: str) -> None:
        try:
            data = made.recv(65536)
            if not data:
                self.drop(made)
            elif host not in self.silent and made not in self.closing:
                name = self.names[host] + (b"0 " if host in self.garbling else b"")
                made.send(name + data if data.count(b"\n") == 1 else
                          b"".join(name + line + b"\n" for line in data.splitlines()))
        except BlockingIOError:
            pass
        except OSError:
            self.drop(made)

    def accept(self, listener, host: str) -> None:
        while True:
            try:
                made, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[made.fileno()] = (made, host)
            self.epoll.register(made.fileno(), select.EPOLLIN)

    def answer_datagrams(self, made, host: str) -> None:
        try:
            while True:
                data, peer = made.recvfrom(65536)
                if host not in self.silent:
                    made.sendto(self.names[host] + data, peer)
        except OSError:
            return

    def run(self) -> None:
        orders = commands.Commands(self, self.epoll)
        while True:
            for descriptor, _ in self.epoll.poll(-1, 65536):
                if descriptor in self.peers:
                    self.serve(*self.peers[descriptor])
                elif descriptor in self.listeners:
                    (self.answer_datagrams if self.udp else self.accept)(*self.listeners[descriptor])
                elif descriptor == 0 and not orders.read():
                    return


def port_range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", help="the bed's")
    parser.add_argument("ports", type=port_range, metavar="PORT[-LAST]")
    parser.add_argument("hosts", nargs="+", metavar="HOST")
    parser.add_argument("--address", default="::", help='to listen on; "::ffff:203.0.113.20" for an IPv4 VIP on lo')
    parser.add_argument("--udp", action="store_true")
    commands.allow_descriptors()
    Server(parser.parse_args()).run()


if __name__ == "__main__":
    main()

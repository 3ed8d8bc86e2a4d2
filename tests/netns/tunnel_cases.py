# SPDX-License-Identifier: Apache-2.0
"""The services that the tests of tunnels, ICMP and MTU share: every mode, and for tunnels every pair of families."""

from dataclasses import dataclass

import daemon
import layout as place

HOSTS = ("b1", "b2", "b3")
MODES = ("nat", "l2dsr", "ipip", "gue")
UDP_PORT = 5300


@dataclass(frozen=True)
class Way:
    """How packets reach backends: mode, family of the VIP, family of the backends."""

    mode: str
    family: int
    backend_family: int

    @property
    def vip(self) -> str:
        return place.VIPS[self.mode, self.family]

    @property
    def client(self) -> str:
        return place.CLIENT4 if self.family == 4 else place.CLIENT6

    @property
    def port(self) -> int:
        """nginx listens on 80 and 8080 of every backend: one for equal families, one for crossed ones."""
        return 80 if self.family == self.backend_family else 8080

    @property
    def backend_port(self) -> int:
        return 8080 if self.mode == "nat" else self.port

    @property
    def udp_port(self) -> int:
        return UDP_PORT if self.family == self.backend_family else UDP_PORT + 1

    @property
    def listen(self) -> str:
        """Where a UDP server on a backend has to listen so that it answers as the VIP."""
        return "::" if self.mode == "nat" else self.vip if self.family == 6 else f"::ffff:{self.vip}"

    @property
    def overhead(self) -> int:
        """Bytes in front of a datagram: outer IP, and UDP and GUE."""
        if self.mode in ("nat", "l2dsr"):
            return 0
        return (20 if self.backend_family == 4 else 40) + (12 if self.mode == "gue" else 0)

    @property
    def name(self) -> str:
        return f"{self.mode.removeprefix('l2')}{self.family}{self.backend_family}"

    def services(self, bed, protocols=("tcp", "udp"), **keywords) -> list:
        """A TCP service NAME and a UDP service NAMEu."""
        made = []
        for protocol in protocols:
            port = self.port if protocol == "tcp" else self.udp_port
            backend_port = self.backend_port if protocol == "tcp" else port
            name = self.name + ("u" if protocol == "udp" else "")
            made.append(daemon.service(bed, name, self.vip, port, self.mode, backend_port, HOSTS, protocol,
                                       self.backend_family, **keywords))
        return made


TUNNELS = [Way(mode, vip, backend) for mode in ("ipip", "gue") for vip in (4, 6) for backend in (4, 6)]
DIRECT = [Way(mode, family, family) for mode in ("nat", "l2dsr") for family in (4, 6)]
WAYS = DIRECT + TUNNELS
NAMES = {"ids": lambda way: f"{way.mode}-v{way.family}-to-v{way.backend_family}"}


def all_services(bed, protocols=("tcp", "udp")) -> list:
    return [service for way in WAYS for service in way.services(bed, protocols)]

# SPDX-License-Identifier: Apache-2.0
"""Frames that no socket would send, made and read with scapy: another hand than the code under test."""

import contextlib
import json
import logging
import socket

import bed as beds

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, checksum  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, in6_chksum  # noqa: E402
from scapy.layers.l2 import Dot1Q, Ether  # noqa: E402
from scapy.utils import PcapReader, RawPcapReader  # noqa: E402

ICMP6 = 58


def mac(bed: beds.Bed, host: str, interface: str) -> str:
    return json.loads(beds.run("ip", "-n", bed.ns(host), "-j", "link", "show", "dev", interface).stdout)[0]["address"]


class Station:
    """A raw socket on the link of `host` ("client" or a backend) to the balancer; frames are addressed to it."""

    def __init__(self, bed: beds.Bed, host: str = "client"):
        interface = "c0" if host == "client" else "b0"
        towards = "l0" if host == "client" else bed.backend(host).lb_interface
        self.mac, self.balancer_mac = mac(bed, host, interface), mac(bed, "lb", towards)
        with bed.inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._socket.bind((interface, 0))

    def frame(self, packet, tags=(), family: int = 0) -> bytes:
        """Ethernet header, VLAN tags (ids, outermost first) and the packet: scapy's, or raw bytes of IP; with the
        EtherType of `family`, or what the first byte says."""
        ether = Ether(src=self.mac, dst=self.balancer_mac)
        for position, tag in enumerate(tags):
            if position == 0 and len(tags) > 1:
                ether.type = 0x88A8
            ether = ether / Dot1Q(vlan=tag, prio=3)
        if isinstance(packet, bytes):
            ether.lastlayer().type = 0x86DD if (family or packet[0] >> 4) == 6 else 0x0800
        return bytes(ether / packet)

    def send(self, *packets, tags=(), times: int = 1) -> None:
        """Sends scapy's packets behind an Ethernet header, and bytes as they are: a whole frame."""
        for packet in packets:
            frame = packet if isinstance(packet, bytes) else self.frame(packet, tags)
            for _ in range(times):
                self._socket.send(frame)

    def __enter__(self) -> "Station":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()


def network(source: str, destination: str, **fields):
    """An IPv4 or IPv6 header between these addresses; `fields` are scapy's names of the IPv4 or IPv6 ones."""
    return (IPv6 if ":" in source else IP)(src=source, dst=destination, **fields)


def packets(capture) -> list:
    """The frames of a finished capture, dissected. ICMPv4 of any kind is left as it was on the wire."""
    with PcapReader(str(capture.file)) as reader:
        return list(reader)


def raw_packets(capture) -> list:
    """The bytes of the frames of a finished capture: for thousands of them dissection takes too long."""
    with contextlib.closing(RawPcapReader(str(capture.file))) as reader:
        return [data for data, _ in reader]


def layer3(frame) -> bytes:
    """The IP datagram of a frame, VLAN tags and padding taken off; b"" when there is none."""
    packet = frame.payload
    while isinstance(packet, Dot1Q):
        packet = packet.payload
    if isinstance(packet, IP):
        return bytes(packet)[:packet.len]
    return bytes(packet)[:40 + packet.plen] if isinstance(packet, IPv6) else b""


def arrived(bed: beds.Bed, captures: dict, marker: bytes) -> dict:
    """Frames with `marker` in them that were addressed to a backend, by backend; `captures` are of their b0. What the
    backends themselves sent, or quoted, is left out, and so are backends without any."""
    found = {host: [f for f in packets(tap) if marker in bytes(f) and f.dst == mac(bed, host, "b0")]
             for host, tap in captures.items()}
    return {host: frames for host, frames in found.items() if frames}


def icmp_message(datagram: bytes) -> bytes:
    """The ICMP or ICMPv6 message of a datagram without options or extension headers. AssertionError unless there is
    one and all its checksums hold."""
    if datagram[0] >> 4 == 4:
        assert datagram[0] == 0x45 and datagram[9] == 1, f"no ICMP: {datagram.hex()}"
        assert checksum(datagram[:20]) == 0, f"wrong header checksum: {datagram[:20].hex()}"
        assert checksum(datagram[20:]) == 0, f"wrong ICMP checksum: {datagram.hex()}"
        return datagram[20:]
    assert datagram[6] == ICMP6, f"no ICMPv6: {datagram.hex()}"
    assert in6_chksum(ICMP6, IPv6(datagram[:40]), datagram[40:]) == 0, f"wrong ICMPv6 checksum: {datagram.hex()}"
    return datagram[40:]


def mtus_told(capture) -> set:
    """(MTU, sender) of each fragmentation-needed and packet-too-big message of a capture, their checksums verified."""
    told = set()
    for frame in packets(capture):
        datagram = layer3(frame)
        message = icmp_message(datagram) if frame.haslayer(ICMP) or IPv6 in frame and datagram[6] == ICMP6 else b""
        if message[:2] == b"\x03\x04":
            told.add((int.from_bytes(message[6:8], "big"), frame[IP].src))
        elif message[:2] == b"\x02\x00" and IPv6 in frame:
            told.add((int.from_bytes(message[4:8], "big"), frame[IPv6].src))
    return told


def too_big(family: int, mtu: int, quote: bytes, source: str, destination: str):
    """A router's fragmentation-needed (IPv4) or packet-too-big (IPv6) message about `quote`."""
    header = network(source, destination)
    if family == 4:
        return header / ICMP(type=3, code=4, nexthopmtu=mtu) / quote
    header.nh = ICMP6
    body = b"\x02\x00\x00\x00" + mtu.to_bytes(4, "big") + quote
    value = in6_chksum(ICMP6, header, body)
    return header / (body[:2] + value.to_bytes(2, "big") + body[4:])


def quote_of(source: str, source_port: int, destination: str, destination_port: int, protocol: int = 6,
             sequence: int = 0) -> bytes:
    """The header of a packet between these ends and the first 8 bytes of its TCP or UDP header: the least that an ICMP
    error carries (RFC 792)."""
    rest = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big") + sequence.to_bytes(4, "big")
    header = network(source, destination)
    if ":" in source:
        header.nh, header.plen = protocol, 1460
    else:
        header.proto, header.len, header.flags = protocol, 1500, "DF"
    return bytes(header) + rest


__all__ = ["Dot1Q", "Ether", "ICMP", "ICMPv6EchoReply", "ICMPv6EchoRequest", "IP", "IPv6", "TCP", "UDP", "Station",
           "arrived", "checksum", "icmp_message", "layer3", "mac", "mtus_told", "network", "packets", "quote_of",
           "raw_packets", "too_big"]

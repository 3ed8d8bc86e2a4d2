#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A balancer in a few lines: wraps what arrives on INTERFACE for a VIP and sends it to the backend.

encapsulate.py INTERFACE EGRESS BACKEND-MAC KIND OUTER-FAMILY     prints "ready" when it listens
"""
import socket
import sys

from scapy.all import Ether

import tunnels


def main():
    arrival, egress, mac, kind, around = sys.argv[1:]
    listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    listening.bind((arrival, 3))
    sending = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sending.bind((egress, 0))
    vips = {socket.inet_pton(socket.AF_INET, tunnels.VIP[4]): 4, socket.inet_pton(socket.AF_INET6, tunnels.VIP[6]): 6}
    print("ready", flush=True)
    while True:
        data, address = listening.recvfrom(65536)
        if address[2] == socket.PACKET_OUTGOING:
            continue
        inner = vips.get(data[30:34] if data[12:14] == b"\x08\0" else data[38:54])
        if inner:
            length = int.from_bytes(data[16:18], "big") if inner == 4 else 40 + int.from_bytes(data[18:20], "big")
            packet = tunnels.wrap(kind, int(around), data[14:14 + length], inner)
            header = Ether(dst=mac, src="02:00:00:00:00:03", type=0x0800 if around == "4" else 0x86dd)
            sending.send(bytes(header) + bytes(packet))


main()

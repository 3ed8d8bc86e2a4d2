# SPDX-License-Identifier: Apache-2.0
"""Three namespaces: client, balancer (encapsulate.py), backend. Answers take a link of their own back to the client.

    client c0 ---- l0 balancer l1 ---- b0 backend     c0 192.0.2.1, l0 .254; b0 198.51.100.11; VIPs on the backend's lo
           c1 ------------------------ d0             198.18.255.1/24, .2
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

import tunnels

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import namespaces  # noqa: E402

LB_DECAP = tunnels.BUILD / "tools/decap/lb-decap"
HERE = pathlib.Path(__file__).resolve().parent


def run(*words, check=True):
    return subprocess.run([str(word) for word in words], check=check, capture_output=True, text=True, timeout=60)


class Bed:
    """`port` is the name of the backend's interface."""

    def __init__(self, port="b0"):
        self.port = port
        self.names = {host: f"C{os.getpid()}-{port}-{host}" for host in ("client", "lb", "backend")}
        self.pins = f"/sys/fs/bpf/weir-C{os.getpid()}-{port}".replace(".", "-")
        self.children = []

    def ip(self, host, *lines):
        for line in lines:
            run("ip", "-n", self.names[host], *line.split())

    def run(self, host, *words, check=True):
        """A command inside `host`. Its mounts stay the caller's, so /sys/fs/bpf is there."""
        return run("nsenter", f"--net=/run/netns/{self.names[host]}", *words, check=check)

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
        for host, name in self.names.items():
            self.run(host, "sysctl", "-qw", *(f"net.{key}" for scope in ("all", "default") for key in (
                f"ipv4.conf.{scope}.rp_filter=0", f"ipv6.conf.{scope}.accept_dad=0", f"ipv6.conf.{scope}.autoconf=0")))
            self.ip(host, "link set lo up")
        links = (("client", "c0", "lb", "l0"), ("lb", "l1", "backend", self.port), ("client", "c1", "backend", "d0"))
        for host, end, peer, other in links:
            run("ip", "link", "add", end, "netns", self.names[host], "numtxqueues", 1, "numrxqueues", 1, "type", "veth",
                "peer", "name", other, "netns", self.names[peer], "numtxqueues", 1, "numrxqueues", 1)
        self.ip("lb", "link set l1 mtu 1600")
        self.ip("backend", f"link set {self.port} mtu 1600")
        for host, end in [(h, e) for h, e, _, _ in links] + [(p, o) for _, _, p, o in links]:
            self.ip(host, f"link set {end} up")
            self.run(host, "ethtool", "-K", end, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
        self.ip("client", "addr add 192.0.2.1/24 dev c0", "-6 addr add 2001:db8:1::1/64 dev c0 nodad",
                "addr add 198.18.255.1/24 dev c1", "-6 addr add 2001:db8:2::1/64 dev c1 nodad",
                "route add 203.0.113.10 via 192.0.2.254", "-6 route add 2001:db8:f::10 via 2001:db8:1::fe")
        self.ip("lb", "addr add 192.0.2.254/24 dev l0", "-6 addr add 2001:db8:1::fe/64 dev l0 nodad",
                f"-6 route add blackhole {tunnels.VIP[6]}")  # else the kernel answers "no route", forwarding or not
        self.ip("backend", f"addr add {tunnels.OWN[4]}/24 dev {self.port}",
                f"-6 addr add {tunnels.OWN[6]}/64 dev {self.port} nodad",
                "addr add 198.18.255.2/24 dev d0", "-6 addr add 2001:db8:2::2/64 dev d0 nodad",
                f"addr add {tunnels.VIP[4]}/32 dev lo", f"-6 addr add {tunnels.VIP[6]}/128 dev lo nodad",
                "route add 192.0.2.0/24 via 198.18.255.1", "-6 route add 2001:db8:1::/64 via 2001:db8:2::1")
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        self.decap("detach", self.port)
        for name in self.names.values():
            run("ip", "netns", "del", name, check=False)

    def inside(self, host):
        """Sockets that the calling thread makes meanwhile belong to `host`."""
        return namespaces.inside(self.names[host])

    def decap(self, *words, check=False):
        return self.run("backend", LB_DECAP, "--pin-dir", self.pins, *words, check=check)

    def status(self):
        return json.loads(self.decap("status", "-o", "json", check=True).stdout)["interfaces"]

    def packets(self, verdict):
        return self.status()[0]["verdicts"][verdict]["packets"]

    @contextlib.contextmanager
    def balancer(self, kind, around):
        """Wraps what the client sends to a VIP, as long as the block runs."""
        mac = json.loads(self.run("backend", "ip", "-j", "link", "show", self.port).stdout)[0]["address"]
        words = ["nsenter", f"--net=/run/netns/{self.names['lb']}", sys.executable, str(HERE / "encapsulate.py")]
        child = subprocess.Popen(words + ["l0", "l1", mac, kind, str(around)], stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        assert child.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            child.kill()
            child.wait()
            self.children.remove(child)

    def unknown_protocols(self):
        """IP packets that the backend's kernel had no use for: tunnel packets that nobody has unwrapped."""
        words = self.run("backend", "cat", "/proc/net/snmp").stdout.splitlines()
        names, values = (line.split() for line in words if line.startswith("Ip: "))
        return int(values[names.index("InUnknownProtos")])

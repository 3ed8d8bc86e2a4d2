# SPDX-License-Identifier: Apache-2.0
"""Two namespaces and a veth pair between them: c0 at the sender (192.0.2.1, 2001:db8:1::1), b0 at the receiver (.2,
::2). The VIPs are routed to the receiver. Everything is named after the process, and goes when the bed is left."""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import namespaces  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LBGEN = os.path.abspath(os.environ.get("LBGEN", ROOT / "build/tools/lbgen/lbgen"))
VIP = {4: "203.0.113.10", 6: "2001:db8:f::10"}
TO = {4: "203.0.113.10:80", 6: "[2001:db8:f::10]:80"}
PASS = ROOT / "tests/support/xdp_pass.bpf.c"
SPOIL = HERE / "xdp_spoil.bpf.c"
SO_RCVBUFFORCE = 33
OUTGOING = 4  # packet type of frames that this host sent


def run(*words, check=True, timeout=60):
    return subprocess.run([str(word) for word in words], check=check, capture_output=True, text=True, timeout=timeout)


class Bed:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.names = {host: f"E{os.getpid()}-{host}" for host in ("sender", "receiver")}

    def ip(self, host, *lines):
        for line in lines:
            run("ip", "-n", self.names[host], *line.split())

    def __enter__(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
        for host in self.names:
            keys = ("accept_dad=0", "autoconf=0", "router_solicitations=0")
            self.run(host, "sysctl", "-qw",
                     *(f"net.ipv6.conf.{scope}.{key}" for scope in ("all", "default") for key in keys))
            self.ip(host, "link set lo up")
        queues = ("numtxqueues", 2, "numrxqueues", 2)
        run("ip", "link", "add", "c0", "netns", self.names["sender"], *queues, "type", "veth",
            "peer", "name", "b0", "netns", self.names["receiver"], *queues)
        self.ip("sender", "link set c0 up", "addr add 192.0.2.1/24 dev c0", "-6 addr add 2001:db8:1::1/64 dev c0 nodad")
        self.ip("receiver", "link set b0 up", "addr add 192.0.2.2/24 dev b0",
                "-6 addr add 2001:db8:1::2/64 dev b0 nodad")
        self.ip("sender", "route add 203.0.113.0/24 via 192.0.2.2", "-6 route add 2001:db8:f::/64 via 2001:db8:1::2")
        # What the receiver's kernel would answer goes nowhere: it has no route to the sources.
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            run("ip", "netns", "del", name, check=False)

    def command(self, host, *words):
        return ["nsenter", f"--net=/run/netns/{self.names[host]}", *map(str, words)]

    def run(self, host, *words, check=True, timeout=60):
        return run(*self.command(host, *words), check=check, timeout=timeout)

    def inside(self, host):
        """Sockets that the calling thread makes meanwhile belong to `host`."""
        return namespaces.inside(self.names[host])

    def mac(self, host, name):
        return json.loads(self.run(host, "ip", "-j", "link", "show", name).stdout)[0]["address"]

    def has_program(self, host, name):
        return "xdp" in json.loads(self.run(host, "ip", "-j", "link", "show", name).stdout)[0]

    @contextlib.contextmanager
    def program(self, source):
        """b0 has that XDP program meanwhile."""
        built = self.folder / (source.stem + ".o")
        if not built.exists():
            run("clang-14", "-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu",
                "-I/usr/include/aarch64-linux-gnu", "-c", source, "-o", built)
        self.ip("receiver", f"link set dev b0 xdpdrv obj {built} sec xdp")
        try:
            yield
        finally:
            self.ip("receiver", "link set dev b0 xdpdrv off")

    def send(self, *words, to=TO[4], check=True, timeout=60):
        """lbgen send c0; returns what it printed as JSON, and standard error."""
        done = self.run("sender", LBGEN, "send", "c0", "--to", to, *words, "-o", "json", check=False, timeout=timeout)
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    def refusal(self, *words, to=TO[4], interface="c0"):
        """Exit code and message of an lbgen send that prints no counts."""
        done = self.run("sender", LBGEN, "send", interface, "--to", to, "--packets", 10, *words, check=False)
        assert done.stdout == "", done.stdout
        return done.returncode, done.stderr

    @contextlib.contextmanager
    def counting(self, *words, check=True):
        """lbgen count b0 until a second after the last packet. Yields a list that holds its JSON afterwards."""
        command = self.command("receiver", LBGEN, "count", "b0", "--idle", 1, "--seconds", 40, *words, "-o", "json")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        result = []
        try:
            assert child.stderr.readline() == "lbgen: counting on b0\n"
            yield result
            out, error = child.communicate(timeout=60)
            assert not check or child.returncode == 0, error
            result.append(json.loads(out))
        finally:
            child.kill()
            child.wait()

    @contextlib.contextmanager
    def listening(self, port=80):
        """Yields a function that returns the generated frames that b0 has handed to the kernel since, in order."""
        with self.inside("receiver"):
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))

        def heard():
            frames = []
            listener.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    frame, address = listener.recvfrom(4096)
                    if address[2] != OUTGOING and is_generated(frame, port):
                        frames.append(frame)
            return frames

        with listener:
            listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
            listener.bind(("b0", 3))
            yield heard

    def captured(self, *words, to=TO[4], source=PASS):
        """The frames that arrive of one lbgen send, in order."""
        with self.program(source), self.listening(int(to.rpartition(":")[2])) as heard:
            self.send(*words, to=to)
            return heard()


def is_generated(frame, port):
    """TCP or UDP to that port; the neighbours' ARP and ND is not."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        return frame[23] in (6, 17) and frame[36:38] == port.to_bytes(2, "big")
    return kind == b"\x86\xdd" and frame[20] in (6, 17) and frame[56:58] == port.to_bytes(2, "big")

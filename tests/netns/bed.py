# SPDX-License-Identifier: Apache-2.0
"""The namespace bed that scripts/topo, scripts/demo and the end-to-end tests stand on: build it, enter it, remove it.

Two layouts (drawn in layout.py): "routed" gives every backend its own link to the balancer, so that frames leave by
another interface than they came; "switch" puts everybody on one bridge, so that they leave by the same one.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import layout as place

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/support"))
import namespaces  # noqa: E402

BPFFS = pathlib.Path("/sys/fs/bpf")


class BedError(RuntimeError):
    """A step of building the bed failed; the message carries the command and what it said."""


def run(*command, check=True, timeout=60, **keywords) -> subprocess.CompletedProcess:
    """Runs a command to its end, output captured as text. Raises BedError when it fails and `check` is set."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **keywords)
    if check and done.returncode != 0:
        raise BedError(f"{' '.join(words)}: exit {done.returncode}: {(done.stderr + done.stdout).strip()}")
    return done


class Bed:
    """Namespaces PREFIX-client, -lb, -b1.., and -lan or -sw, with their links, addresses and routes."""

    def __init__(self, prefix: str, layout: str = "routed", backends: int = 4, balancers: int = 1):
        """Two balancers, "lb" and "lb2", only on "switch"."""
        self.prefix, self.layout = prefix, layout
        self.balancers = ["lb", "lb2"][:balancers]
        self.backends = [place.backend(i, layout) for i in range(1, backends + 1)]
        self.interfaces = ["l0"] + ([b.lb_interface for b in self.backends] if layout == "routed" else [])
        self.middle = "lan" if layout == "routed" else "sw"
        self.hosts = ["client", *self.balancers, self.middle] + [b.name for b in self.backends]
        self.run_dir = pathlib.Path("/run/weir-bed") / prefix
        self.pin_dir = BPFFS / f"weir-{prefix}"
        self.pin_dirs = {"lb": self.pin_dir} | {host: BPFFS / f"weir-{prefix}-{host}" for host in self.balancers[1:]}

    @classmethod
    def standing(cls, prefix: str) -> "Bed":
        """The bed of that prefix as it was built. Raises BedError when there is none."""
        try:
            layout, *counts = (pathlib.Path("/run/weir-bed") / prefix / "layout").read_text().split()
        except OSError:
            raise BedError(f"no bed named {prefix} is standing; build one with: scripts/topo up") from None
        return cls(prefix, layout, *map(int, counts))

    def ns(self, host: str) -> str:
        """The full namespace name of a host."""
        return f"{self.prefix}-{host}"

    def backend(self, name: str) -> place.Backend:
        return next(b for b in self.backends if b.name == name)

    # -- entering ------------------------------------------------------------------------------------------------------

    def inside(self, host: str):
        """The calling thread lives in `host` meanwhile: sockets and processes that it makes there stay there."""
        return namespaces.inside(self.ns(host))

    def run(self, host: str, *command, **keywords) -> subprocess.CompletedProcess:
        """run() inside `host`. The mount namespace stays, so /sys/fs/bpf is there (`ip netns exec` would hide it)."""
        with self.inside(host):
            return run(*command, **keywords)

    def popen(self, host: str, *command, **keywords) -> subprocess.Popen:
        """Starts a process inside `host`; the caller stops it."""
        with self.inside(host):
            return subprocess.Popen([str(word) for word in command], **keywords)

    # -- building ------------------------------------------------------------------------------------------------------

    def up(self) -> "Bed":
        """Builds the bed; a bed half built is removed again before the error is passed on."""
        mount_bpffs()
        if self.run_dir.exists() or pathlib.Path("/run/netns", self.ns("lb")).exists():
            raise BedError(f"a bed named {self.prefix} is already standing; remove it with: scripts/topo down")
        try:
            self.run_dir.mkdir(parents=True)
            (self.run_dir / "layout").write_text(f"{self.layout} {len(self.backends)} {len(self.balancers)}\n")
            for host in self.hosts:
                run("ip", "netns", "add", self.ns(host))
                self._settings(host)
            self._links()
            self._addresses()
            self._offloads()
        except BaseException:
            self.down()
            raise
        return self

    def _settings(self, host: str) -> None:
        # Link-local IPv6 addresses stay: without one on an interface the kernel asks for no neighbour there unless the
        # packet in hand comes from the host itself.
        values = {"ipv6/conf/{}/accept_dad": 0, "ipv6/conf/{}/accept_ra": 0, "ipv6/conf/{}/autoconf": 0,
                  "ipv4/conf/{}/rp_filter": 0, "ipv4/conf/{}/send_redirects": 0, "ipv4/conf/{}/accept_redirects": 0}
        if host in self.balancers:
            values |= {"ipv4/conf/{}/forwarding": 1, "ipv6/conf/{}/forwarding": 1}
        if host.startswith("b"):  # the VIP on lo is not answered for, and not spoken for, on the wire
            values |= {"ipv4/conf/{}/arp_ignore": 1, "ipv4/conf/{}/arp_announce": 2}
        with self.inside(host):
            for path, value in values.items():
                for scope in ("all", "default"):
                    with contextlib.suppress(FileNotFoundError):
                        pathlib.Path("/proc/sys/net", path.format(scope)).write_text(f"{value}\n")

    def _veth(self, host: str, name: str, peer_host: str, peer_name: str) -> None:
        queues = ("numtxqueues", "2", "numrxqueues", "2")  # equal at both ends, or a program does not attach
        run("ip", "link", "add", name, "netns", self.ns(host), *queues, "type", "veth",
            "peer", "name", peer_name, "netns", self.ns(peer_host), *queues)

    def _links(self) -> None:
        bridge_ports = []
        if self.layout == "routed":
            self._veth("client", "c0", "lb", "l0")
            bridge_ports.append(("client", "c1", "pc"))
        else:
            bridge_ports += [(host, "l0", f"p0{host.removeprefix('lb')}") for host in self.balancers]
            bridge_ports.append(("client", "c0", "pc"))
        for b in self.backends:
            if self.layout == "routed":
                self._veth(b.name, "b0", "lb", b.lb_interface)
            bridge_ports.append((b.name, "d0" if self.layout == "routed" else "b0", f"p{b.index}"))
        self._ip(self.middle, "link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up")
        for host, name, port in bridge_ports:
            self._veth(host, name, self.middle, port)
            self._ip(self.middle, f"link set {port} master br0", f"link set {port} up")

    def _ip(self, host: str, *lines: str) -> None:
        """Batches of `ip` commands, those that begin with -6 last; the first that fails raises BedError."""
        plain = [line for line in lines if not line.startswith("-6 ")]
        six = [line.removeprefix("-6 ") for line in lines if line.startswith("-6 ")]
        for options, batch in (([], plain), (["-6"], six)):
            run("ip", "-n", self.ns(host), *options, "-batch", "-", input="".join(f"{line}\n" for line in batch))

    def _addresses(self) -> None:
        routed = self.layout == "routed"
        client = ["link set lo up", "link set c0 up", f"addr add {place.CLIENT4}/24 dev c0",
                  f"-6 addr add {place.CLIENT6}/64 dev c0 nodad"]
        client += (["link set c1 up", "addr add 198.18.0.1/24 dev c1", "-6 addr add 2001:db8:2::1/64 dev c1 nodad"]
                   if routed else ["-6 route add 2001:db8:b::/64 dev c0"])
        client += [f"route add default via {place.BALANCER4}", f"-6 route add default via {place.BALANCER6}"]
        self._ip("client", *client)

        lb = ["link set lo up", "link set l0 up", f"addr add {place.BALANCER4}/24 dev l0",
              f"-6 addr add {place.BALANCER6}/64 dev l0 nodad"]
        for b in self.backends if routed else self.backends[:1]:
            lb += [f"link set {b.lb_interface} up", f"addr add {b.lb_v4}/{b.v4_bits} dev {b.lb_interface}",
                   f"-6 addr add {b.lb_v6}/64 dev {b.lb_interface} nodad"]
        self._ip("lb", *lb)
        if "lb2" in self.balancers:
            self._ip("lb2", "link set lo up", "link set l0 up", f"addr add {place.SECOND4}/24 dev l0",
                     f"-6 addr add {place.SECOND6}/64 dev l0 nodad", f"addr add {place.SECOND_INSIDE4}/24 dev l0",
                     f"-6 addr add {place.SECOND_INSIDE6}/64 dev l0 nodad")

        for b in self.backends:
            lines = ["link set lo up", "link set b0 up", f"addr add {b.v4}/{b.v4_bits} dev b0",
                     f"-6 addr add {b.v6}/64 dev b0 nodad", f"route add default via {b.lb_v4}",
                     f"-6 route add default via {b.lb_v6}"]
            if routed:
                lines += ["link set d0 up", f"addr add 198.18.0.{10 + b.index}/24 dev d0",
                          f"-6 addr add 2001:db8:2::{10 + b.index}/64 dev d0 nodad"]
            # What a backend says as a VIP goes to the client directly; everything else by the balancer.
            for vip in place.VIPS_OF_BACKENDS:
                six, host_route = ("-6 ", f"{vip}/128 dev lo nodad") if ":" in vip else ("", f"{vip}/32 dev lo")
                lines += [f"{six}addr add {host_route}", f"{six}rule add from {vip} lookup 100"]
            lines += [f"route add default {'via 198.18.0.1 dev d0' if routed else 'dev b0'} table 100",
                      f"-6 route add default {'via 2001:db8:2::1 dev d0' if routed else 'dev b0'} table 100"]
            self._ip(b.name, *lines)

    def _offloads(self) -> None:
        program = self.run_dir / "xdp_pass.bpf.o"
        run("clang-14", "-O2", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu", "-I/usr/include/aarch64-linux-gnu",
            "-c", ROOT / "tests/support/xdp_pass.bpf.c", "-o", program)
        ends = [("client", "c0")] + [(b.name, "b0") for b in self.backends]
        ends += [("client", "c1")] + [(b.name, "d0") for b in self.backends] if self.layout == "routed" else []
        for host, name in ends:  # a socket's half-made checksum would leave the XDP program as a wrong one
            self.run(host, "ethtool", "-K", name, "tx", "off", "rx", "off", "gso", "off", "tso", "off", "gro", "off")
        if self.layout == "switch":  # else a bridge hands VLAN tags on beside the frame, where no XDP program sees them
            for host in self.balancers:
                self.run("sw", "ethtool", "-K", f"p0{host.removeprefix('lb')}", "txvlan", "off",
                         "tx-vlan-stag-hw-insert", "off")
        peers = [("client", "c0")] + [(b.name, "b0") for b in self.backends]
        if self.layout == "switch":
            peers = [("sw", f"p0{host.removeprefix('lb')}") for host in self.balancers]
        for host, name in peers:
            run("ip", "-n", self.ns(host), "link", "set", "dev", name, "xdpdrv", "obj", program, "sec", "xdp")

    @contextlib.contextmanager
    def flooder(self):
        """Meanwhile a host "flood", to send from with lbgen: f0 to the balancer's l9, a route to the IPv4 VIPs, and no
        default route, which lbgen would keep off. Only on "routed"."""
        self.hosts.append("flood")
        run("ip", "netns", "add", self.ns("flood"))
        try:
            self._veth("flood", "f0", "lb", "l9")
            self._ip("lb", "link set l9 up", f"addr add {place.FLOOD_BALANCER}/24 dev l9")
            self._ip("flood", "link set f0 up", f"addr add {place.FLOOD}/24 dev f0",
                     f"route add {place.VIPS4} via {place.FLOOD_BALANCER}")
            self.run("flood", "ping", "-c1", "-W2", place.FLOOD_BALANCER)  # the neighbour is known
            yield
        finally:
            self._signal(["flood"], signal.SIGKILL, 2.0)
            run("ip", "-n", self.ns("lb"), "link", "del", "l9", check=False)
            run("ip", "netns", "del", self.ns("flood"), check=False)
            self.hosts.remove("flood")

    # -- removing ------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Ends every process inside, removes pins and namespaces. Works on a bed half built, and twice."""
        present = [h for h in self.hosts if pathlib.Path("/run/netns", self.ns(h)).exists()]
        for signal_number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            self._signal(present, signal_number, patience)
        for pins in self.pin_dirs.values():
            shutil.rmtree(pins, ignore_errors=True)
        for host in present:
            run("ip", "netns", "del", self.ns(host), check=False)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def processes(self, hosts=None) -> list:
        """Ids of the processes that live in these hosts, the calling one left out."""
        found = []
        for host in self.hosts if hosts is None else hosts:
            found += [int(p) for p in run("ip", "netns", "pids", self.ns(host), check=False).stdout.split()]
        return [p for p in found if p != os.getpid()]

    def _signal(self, hosts, number, patience: float) -> None:
        end = time.monotonic() + patience
        for pid in self.processes(hosts):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while time.monotonic() < end and any(_alive(pid) for pid in self.processes(hosts)):
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    """False for a process that has ended but whose parent has not asked for its exit code."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def mount_bpffs() -> None:
    """Mounts the BPF file system on /sys/fs/bpf when it is not there."""
    if run("stat", "-f", "-c", "%T", BPFFS, check=False).stdout.strip() != "bpf_fs":
        run("mount", "-t", "bpf", "bpf", BPFFS)


def remove_abandoned(stem: str) -> None:
    """Removes beds named STEM<pid> whose process has ended without removing its own."""
    for layout_file in pathlib.Path("/run/weir-bed").glob(f"{stem}*/layout"):
        prefix = layout_file.parent.name
        if prefix[len(stem):].isdigit() and not _alive(int(prefix[len(stem):])):
            Bed.standing(prefix).down()

# SPDX-License-Identifier: Apache-2.0
"""lbd on a bed, and the two ways to talk to it: lbctl as a process, the API over its Unix socket."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

import bed as beds
import layout as place
from layout import endpoint

BUILD = beds.ROOT / os.environ.get("WEIR_BUILD", "build")
LBD = BUILD / "control/lbd"
LBCTL = BUILD / "tools/lbctl/lbctl"
FORMER = BUILD / "tests/upgrade/former"
LBGEN = BUILD / "tools/lbgen/lbgen"
TUNNEL = f'[tunnel]\nsource4 = "{place.TUNNEL4}"\nsource6 = "{place.TUNNEL6}"\n'  # for a configuration's `extra`
SEED = "00112233445566778899aabbccddeeff"  # fixed, so that a run can be repeated with the same picks


@dataclass
class Service:
    """One [[service]] of a configuration; backends are (name, "ADDR:PORT"[, weight[, admin]])."""

    name: str
    vip: str
    mode: str
    backends: list = field(default_factory=list)
    hash: str = "5tuple"
    rows: int = 65536
    mss: int = 0
    settings: dict = field(default_factory=dict)  # further keys as they stand in the file: {"on-remove": "reset"}

    def toml(self) -> str:
        text = (f'[[service]]\nname = "{self.name}"\nvip = "{self.vip}"\nmode = "{self.mode}"\n'
                f'hash = "{self.hash}"\nrows = {self.rows}\n' + (f"mss = {self.mss}\n" if self.mss else ""))
        text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items())
        for name, address, *more in self.backends:
            text += f'  [[service.backend]]\n  name = "{name}"\n  address = "{address}"\n'
            text += "".join(f"  {key} = {json.dumps(value)}\n" for key, value in zip(("weight", "admin"), more))
        return text + "\n"


def service(bed: beds.Bed, name: str, vip: str, port: int, mode: str, backend_port: int = 0, hosts=("b1", "b2", "b3"),
            protocol: str = "tcp", backend_family: int = 0, **keywords) -> Service:
    """A service at `vip`:`port` over these hosts, in the VIP's address family unless another is given."""
    family = backend_family or (6 if ":" in vip else 4)
    backends = [(h, endpoint(bed.backend(h).address(family), backend_port or port)) for h in hosts]
    return Service(name, f"{protocol}:{endpoint(vip, port)}", mode, backends, **keywords)


def config_text(bed: beds.Bed, services, interfaces=None, extra: str = "", seed: str = SEED) -> str:
    """A whole configuration file; `extra` are further top-level lines or tables."""
    interfaces = bed.interfaces if interfaces is None else interfaces
    names = ", ".join(f'"{name}"' for name in interfaces)
    return f'interfaces = [{names}]\nseed = "{seed}"\n{extra}\n' + "".join(s.toml() for s in services)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Balancer:
    """One lbd on `host`: its files, its process, its clients. Directories are below the bed's run directory."""

    def __init__(self, bed: beds.Bed, name: str = "lb", host: str = "lb"):
        self.bed, self.host, self.environment = bed, host, {}
        self.dir = bed.run_dir / name
        self.dir.mkdir(exist_ok=True)
        self.config, self.socket = self.dir / "lb.toml", self.dir / "lbd.sock"
        self.state_dir, self.log, self.pin_dir = self.dir / "state", self.dir / "lbd.log", bed.pin_dirs[host]
        self.state_dir.mkdir(exist_ok=True)
        self.process = None
        self._kept = None

    # -- the process -------------------------------------------------------------------------------------------------

    def command(self, *options) -> list:
        return [LBD, "--config", self.config, "--socket", self.socket, "--state-dir", self.state_dir,
                "--pin-dir", self.pin_dir, *options]

    def configure(self, services, **keywords) -> "Balancer":
        """Writes the configuration file; lbd reads it at its next start without a state."""
        self.config.write_text(config_text(self.bed, services, **keywords))
        return self

    def start(self, timeout: float = 10) -> "Balancer":
        """Starts lbd and waits for its "lbd: ready". BedError with its log when it ends or stays silent."""
        self._kept = None
        with open(self.log, "w") as log:
            # A session of its own: Ctrl-C at a terminal is for the program that started lbd.
            self.process = self.bed.popen(self.host, *self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True, env=os.environ | self.environment)
        end = time.monotonic() + timeout
        while "lbd: ready" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise beds.BedError(f"lbd did not get ready:\n{self.log.read_text()}")
            time.sleep(0.01)
        return self

    def refuse(self, *options, timeout: float = 20) -> str:
        """Runs lbd where it is expected to fail; returns what it said. AssertionError when it succeeds or stays."""
        process = self.bed.popen(self.host, *self.command(*options), stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"lbd stayed instead of failing: {process.communicate()[0]}") from None
        assert process.returncode == 1, f"lbd ended with {process.returncode}, wanted 1: {said}"
        return said

    def terminate(self) -> int:
        """SIGTERM, and the exit code. The fast path stays."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill(self) -> None:
        """kill -9."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def upgrade(self) -> "Balancer":
        """What a package does: SIGTERM to the old lbd, then the new one. Program and tables that it finds are of a
        former layout, which it has to carry over."""
        assert self.terminate() == 0
        put_former_program(self)
        return self.start()

    def remove(self) -> None:
        """Leaves nothing: fast path, process, pins and files are gone afterwards, whatever state they were in."""
        if self.process and self.process.poll() is None:
            self.ctl("detach", check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill()
        for name in self.bed.interfaces:
            for mode in ("xdpdrv", "xdpgeneric"):
                beds.run("ip", "-n", self.bed.ns(self.host), "link", "set", "dev", name, mode, "off", check=False)
        shutil.rmtree(self.pin_dir, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- its clients -------------------------------------------------------------------------------------------------

    def ctl(self, *words, check=True, **keywords) -> subprocess.CompletedProcess:
        """lbctl with these words."""
        return beds.run(LBCTL, "--socket", self.socket, *words, check=check, **keywords)

    def ctl_json(self, *words):
        return json.loads(self.ctl(*words, "-o", "json").stdout)

    def api(self, method: str, path: str, body=None, timeout: float = 20):
        """(status, document) of one request on a kept connection; document is text where it is not JSON."""
        payload = body if isinstance(body, str) or body is None else json.dumps(body)
        for attempt in (0, 1):
            self._kept = self._kept or _UnixConnection(self.socket, timeout)
            try:
                self._kept.request(method, path, payload)
                answer = self._kept.getresponse()
                text = answer.read().decode()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._kept = None  # the daemon closed an idle connection
                if attempt:
                    raise
        if answer.will_close:
            self._kept.close()
            self._kept = None
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(text) if is_json and text else text

    def get(self, path: str):
        """The document of a GET; AssertionError unless 200."""
        status, document = self.api("GET", path)
        assert status == 200, f"GET {path}: {status} {document}"
        return document

    def change(self, method: str, path: str, body=None, force: bool = False):
        """A mutating request that is to succeed; returns its document."""
        status, document = self.api(method, path + ("?force=true" if force else ""), body)
        assert status in (200, 201), f"{method} {path}: {status} {document}"
        return document

    def export(self) -> str:
        return self.ctl("export").stdout

    def backends(self, name: str) -> dict:
        """The service's backends by name, as `lbctl service show` gives them."""
        return {b["name"]: b for b in self.ctl_json("service", "show", name)["backends"]}

    def verdicts(self) -> dict:
        """Packets so far by verdict."""
        return {v["name"]: v["packets"] for v in self.get("/v1/stats")["verdicts"]}

    def trace(self, source: str, port: int, destination: str, protocol: str = "tcp") -> str:
        """The name of the backend that this 5-tuple gets, in either form that a trace may name it."""
        path = f"/v1/trace?protocol={protocol}&source={endpoint(source, port)}&destination={destination}&syn=true"
        return self.get(path.replace("[", "%5B").replace("]", "%5D"))["backend"].rpartition("/")[2]

    def wait_resolved(self, seconds: float = 5) -> "Balancer":
        """Waits until every backend's next hop is known."""
        end = time.monotonic() + seconds
        while True:
            waiting = {f"{s['name']}/{b['name']}": b["next_hop"]["state"] for s in self.get("/v1/services")
                       for b in s["backends"] if b["next_hop"]["state"] != "resolved"}
            if not waiting:
                return self
            if time.monotonic() > end:
                raise AssertionError(f"next hops not resolved after {seconds} s: {waiting}")
            time.sleep(0.02)


def put_former_program(balancer: Balancer, *version) -> None:
    """While no lbd runs: a program of a former layout takes the place of the one that forwards, with its tables; they
    say that they are of another version if one is named."""
    balancer.bed.run(balancer.host, FORMER, balancer.pin_dir, *version)


def pinned_ids(pin_dir: pathlib.Path) -> dict:
    """Kernel ids of everything pinned there: {"prog": {..}, "map": {..}, "link": {..}}, maps of programs included."""
    found = {"prog": set(), "map": set(), "link": set()}
    for path in sorted(pin_dir.rglob("*")):
        for kind, ids in found.items():
            shown = beds.run("bpftool", "-j", kind, "show", "pinned", path, check=False)
            if shown.returncode == 0 and (entry := json.loads(shown.stdout or "{}")).get("id"):
                ids.add(entry["id"])
                found["map"].update(entry.get("map_ids", []))
                found["prog"].update([entry["prog_id"]] if kind == "link" else [])
                break
    return found


def attached(bed: beds.Bed, host: str = "lb") -> dict:
    """The balancer's interfaces that carry an XDP program: {"l0": "native"}."""
    modes = {1: "native", 2: "generic", 3: "offloaded", 4: "several"}  # enum of IFLA_XDP_ATTACHED
    links = json.loads(beds.run("ip", "-n", bed.ns(host), "-j", "-d", "link", "show").stdout)
    return {link["ifname"]: modes[link["xdp"]["mode"]] for link in links if link.get("xdp")}

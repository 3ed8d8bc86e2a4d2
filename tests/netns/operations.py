# SPDX-License-Identifier: Apache-2.0
"""Random operations on a balancer, drawn from a seed: what an operator may do to a service that carries traffic."""

import dataclasses
import random
import time

import daemon
from layout import endpoint

WEIGHTS = (10, 50, 100, 100, 200)


@dataclasses.dataclass
class Service:
    """What the operator has ordered of a service; backends are {name: [admin, weight]}."""

    name: str
    port: int  # of the backends
    vip: str
    backends: dict

    def taking(self) -> list:
        return [name for name, (admin, _) in self.backends.items() if admin == "active"]

    def spared(self) -> list:
        """Backends that may leave: another one takes new flows."""
        taking = self.taking()
        return [name for name in self.backends if len(taking) > 1 or name not in taking]


class Operator:
    """Does one operation after the other. `history` tells what was done and when; the seed alone determines it."""

    def __init__(self, balancer, services, seed: int):
        self.balancer, self.services, self.random = balancer, services, random.Random(seed)
        self.hosts = [b.name for b in balancer.bed.backends]
        self.history = []
        # "reload" applies the file as it was at the start, "apply" one that is made up.
        self.kinds = {self.add: 4, self.drain: 4, self.undrain: 4, self.reweight: 4, self.remove: 4, self.reload: 2,
                      self.apply: 3, self.kill: 2, self.upgrade: 2}
        self.first = {service.name: dict(service.backends) for service in services}

    def step(self) -> str:
        """One operation that is possible; what it was."""
        while True:
            service = self.random.choice(self.services)
            kind = self.random.choices(list(self.kinds), self.kinds.values())[0]
            begun = time.monotonic()
            done = kind(service)
            if done:
                took = time.monotonic() - begun
                self.history.append(f"{len(self.history) + 1}: {done} (at {begun:.2f}, {took:.2f} s)")
                return done

    def pause(self) -> None:
        time.sleep(self.random.uniform(0.0, 0.25))

    def add(self, service) -> str:
        absent = sorted(set(self.hosts) - set(service.backends))
        if not absent:
            return ""
        name, weight = self.random.choice(absent), self.random.choice(WEIGHTS)
        address = endpoint(self.balancer.bed.backend(name).v4, service.port)
        self.balancer.ctl("backend", "add", service.name, address, "--name", name, "--weight", weight)
        service.backends[name] = ["active", weight]
        return f"add {service.name}/{name} weight {weight}"

    def drain(self, service) -> str:
        candidates = [name for name in service.spared() if service.backends[name][0] == "active"]
        if not candidates:
            return ""
        name = self.random.choice(candidates)
        deadline = self.random.choice([(), ("--deadline", "2s")])
        self.balancer.ctl("backend", "drain", f"{service.name}/{name}", *deadline)
        service.backends[name][0] = "draining"
        return f"drain {service.name}/{name} {' '.join(deadline)}"

    def undrain(self, service) -> str:
        candidates = [name for name, (admin, _) in service.backends.items() if admin == "draining"]
        if not candidates:
            return ""
        name = self.random.choice(candidates)
        self.balancer.ctl("backend", "undrain", f"{service.name}/{name}")
        service.backends[name][0] = "active"
        return f"undrain {service.name}/{name}"

    def reweight(self, service) -> str:
        name, weight = self.random.choice(sorted(service.backends)), self.random.choice(WEIGHTS)
        self.balancer.ctl("backend", "set", f"{service.name}/{name}", "--weight", weight)
        service.backends[name][1] = weight
        return f"set {service.name}/{name} weight {weight}"

    def remove(self, service) -> str:
        if not service.spared() or len(service.backends) < 2:
            return ""
        name = self.random.choice(sorted(service.spared()))
        self.balancer.ctl("backend", "del", f"{service.name}/{name}")
        del service.backends[name]
        return f"del {service.name}/{name}"

    def _apply(self, wanted: dict) -> None:
        """Replaces the [[service.backend]] parts of the running configuration."""
        file = self.balancer.dir / "operation.toml"
        services = []
        for service in self.services:
            service.backends = {name: list(state) for name, state in wanted[service.name].items()}
            made = self.balancer.made[service.name]
            services.append(dataclasses.replace(made, backends=[
                (name, endpoint(self.balancer.bed.backend(name).v4, service.port), weight, admin)
                for name, (admin, weight) in sorted(service.backends.items())]))
        file.write_text(daemon.config_text(self.balancer.bed, services))
        self.balancer.ctl("apply", "-f", file)

    def reload(self, _) -> str:
        self._apply(self.first)
        return "reload"

    def apply(self, service) -> str:
        names = self.random.sample(self.hosts, self.random.randint(2, len(self.hosts)))
        admins = ["active"] + [self.random.choice(["active", "active", "draining"]) for _ in names[1:]]
        made_up = {name: [admin, self.random.choice(WEIGHTS)] for name, admin in zip(names, admins)}
        self._apply({s.name: made_up if s is service else s.backends for s in self.services})
        return f"apply {service.name} {made_up}"

    def kill(self, _) -> str:
        self.balancer.kill()
        time.sleep(self.random.uniform(0.0, 0.5))
        self.balancer.start()
        return "kill -9, start"

    def upgrade(self, _) -> str:
        self.balancer.upgrade()
        return "upgrade"

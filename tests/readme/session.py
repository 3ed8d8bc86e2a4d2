# SPDX-License-Identifier: Apache-2.0
"""The README's session: a bed, lbd on it, and commands as they are typed there."""

import os
import re

import bed as beds
import daemon
from document import Block

# The session shows lbd's default paths; on the bed these files are the bed's own.
PLACES = {"config": "/etc/weir/lb.toml", "socket": "/run/weir/lbd.sock", "state_dir": "/var/lib/weir",
          "pin_dir": "/sys/fs/bpf/weir"}
COMMAND = re.compile(r"(lb|client|b\d)[#$] (.+)")  # host and command


def masked(output: str) -> list:
    """The lines with MAC addresses, free-standing numbers and the width of columns taken out; exit codes stay."""
    lines = []
    for line in output.rstrip("\n").split("\n"):
        line = re.sub(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC", line)
        if not line.startswith("exit "):
            line = re.sub(r"(?<![\w.:/\[-])\d+(\.\d+)?(?![\w:/\]]|\.\d)", "N", line)
        lines.append(" ".join(line.split()))
    return lines


class Session:
    """The bed and the daemon that the README's session was recorded on, with the README's first configuration."""

    def __init__(self, bed: beds.Bed, config: str):
        self.bed, self.balancer = bed, daemon.Balancer(bed)
        self.balancer.config.write_text(config)
        programs = self.balancer.dir / "bin"
        programs.mkdir()
        (programs / "lbctl").symlink_to(daemon.LBCTL)
        command = " ".join(f"'{word}'" for word in self.balancer.command())
        (programs / "lbd").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / "lbd").chmod(0o755)
        self.environment = os.environ | {"WEIR_SOCKET": str(self.balancer.socket), "LC_ALL": "C",
                                         "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin"}

    def here(self, text: str) -> str:
        for name, path in PLACES.items():
            text = text.replace(path, str(getattr(self.balancer, name)))
        return text

    def there(self, text: str) -> str:
        for name, path in PLACES.items():
            text = text.replace(str(getattr(self.balancer, name)), path)
        return text

    def run(self, host: str, command: str) -> str:
        done = self.bed.run(host, "bash", "-c", f"exec 2>&1; {self.here(command)}", check=False, env=self.environment)
        return self.there(done.stdout)

    def replay(self, block: Block) -> str:
        """The block as it is when its commands are run."""
        text = ""
        for line in block.text.splitlines():
            if match := COMMAND.fullmatch(line):
                text += f"{line}\n{self.run(match[1], match[2])}"
        return text

    def parse_faults(self, toml: str) -> list:
        """What lbd says of a configuration's text; what it says of interfaces that this host lacks does not count."""
        config = self.balancer.dir / "other.toml"
        config.write_text(toml)
        done = self.bed.run("lb", daemon.LBD, "--config", config, "--check", "--state-dir", self.balancer.dir / "none",
                            check=False)
        reached_host = done.returncode == 0 or re.match(r"lbd: \d+ faults:", done.stderr)
        return [] if reached_host else [done.stderr]

    def known_keys(self, toml: str) -> list:
        """The keys that lbd lists when it meets one that it does not know."""
        faults = "".join(self.parse_faults(toml))
        listed = re.search(r"the keys here are (.+)", faults)
        return listed[1].split(", ") if listed else [f"(no list in: {faults.strip()})"]

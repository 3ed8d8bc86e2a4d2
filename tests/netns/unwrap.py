# SPDX-License-Identifier: Apache-2.0
"""lb-decap on the backends of a bed: the kernel of a machine without tunnel devices gets ipip and gue unwrapped."""

import contextlib
import json

import bed as beds
import daemon
import layout as place

LB_DECAP = daemon.BUILD / "tools/decap/lb-decap"


def pin_dir(bed: beds.Bed, host: str):
    return beds.BPFFS / f"weir-{bed.prefix}-{host}"


def decap(bed: beds.Bed, host: str, verb: str, *words, check=True):
    """lb-decap in `host`; every host has pins of its own, for they share one BPF file system."""
    return bed.run(host, LB_DECAP, "--pin-dir", pin_dir(bed, host), verb, *words, check=check)


@contextlib.contextmanager
def unwrapping(bed: beds.Bed, hosts=("b1", "b2", "b3", "b4"), sources=(place.TUNNEL4, place.TUNNEL6)):
    """These backends unwrap what comes from `sources` meanwhile. lb-decap takes the place of the program that lets b0
    receive frames from XDP, and passes what is no tunnel's."""
    allowed = [word for source in sources for word in ("--from", source)]
    try:
        for host in hosts:
            program_off(bed, host)
            decap(bed, host, "attach", "b0", *allowed)
        yield
    finally:
        for host in hosts:
            decap(bed, host, "detach", "b0", check=False)
            program_on(bed, host)


def program_off(bed: beds.Bed, host: str) -> None:
    beds.run("ip", "-n", bed.ns(host), "link", "set", "dev", "b0", "xdpdrv", "off")


def program_on(bed: beds.Bed, host: str) -> None:
    """The program that only passes, where bed.py put it."""
    if bed.layout == "routed":
        program = bed.run_dir / "xdp_pass.bpf.o"
        beds.run("ip", "-n", bed.ns(host), "link", "set", "dev", "b0", "xdpdrv", "obj", program, "sec", "xdp")


def counts(bed: beds.Bed, host: str) -> dict:
    """Packets by verdict that lb-decap on `host` has seen since it was attached."""
    (interface,) = json.loads(decap(bed, host, "status", "-o", "json").stdout)["interfaces"]
    return {name: verdict["packets"] for name, verdict in interface["verdicts"].items()}

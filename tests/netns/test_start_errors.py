# SPDX-License-Identifier: Apache-2.0
"""Starts that lbd refuses: one message that names the thing, exit 1, and what runs already goes on."""

import contextlib
import os
import pathlib
import re
import socket

import pytest

import daemon
import layout as place
import traffic


def test_an_interface_that_does_not_exist(bed, balancer):
    """Errors: lbd names the interface and attaches to none."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)], interfaces=["l0", "nope0"])
    said = balancer.refuse()
    assert "nope0" in said
    assert daemon.attached(bed) == {}
    assert not bed.pin_dir.exists() or list(bed.pin_dir.iterdir()) == []


def test_a_restart_without_one_of_its_interfaces(bed, balancer):
    """Restart: what runs goes on over the interfaces that are there; the missing one is a warning in status."""
    services = [daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]
    balancer.configure(services).start().wait_resolved().terminate()
    balancer.configure(services, interfaces=[*bed.interfaces, "gone0"]).start().wait_resolved()
    assert "interface gone0 does not exist" in balancer.ctl("status").stdout
    assert daemon.attached(bed) == dict.fromkeys(bed.interfaces, "native")
    assert traffic.who(bed, place.VIP4_NAT, 80) in ("b1", "b2", "b3")


def test_a_tunnel_without_a_source_of_its_backends_family(bed, balancer):
    """Errors: an IPv6 backend behind a tunnel needs outer IPv6 addresses: service and setting are named."""
    crossed = daemon.service(bed, "crossed", place.VIP4_IPIP, 80, "ipip", backend_family=6)
    balancer.configure([crossed], extra='[tunnel]\nsource4 = "198.18.128.0/17"\n')
    said = balancer.refuse()
    assert "crossed" in said and "source6" in said


def test_two_services_that_would_share_an_any_port_backend_in_nat(bed, balancer):
    """Errors: the backend's answers could not be told apart: both services and the backend are named."""
    everything = daemon.Service("everything", f"tcp:{place.VIP4_NAT}:0", "nat", [("b1", f"{bed.backend('b1').v4}:0")])
    balancer.configure([everything, daemon.service(bed, "web", "203.0.113.11", 80, "nat", 8080, hosts=("b1",))])
    said = balancer.refuse()
    assert "everything" in said and "web" in said and bed.backend("b1").v4 in said


def test_a_configuration_that_is_not_there(balancer):
    """Errors: the path is named."""
    assert str(balancer.config) in balancer.refuse()


@pytest.mark.parametrize("what", ["file", "directory", "foreign listener"])
def test_a_socket_path_that_is_taken(bed, balancer, what):
    """Errors: lbd removes nothing that is not its own socket."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    with contextlib.ExitStack() as stack:
        if what == "file":
            balancer.socket.write_text("precious")
        elif what == "directory":
            balancer.socket.mkdir()
        else:
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(str(balancer.socket))
            other.listen()
        assert str(balancer.socket) in balancer.refuse()
        assert balancer.socket.exists()
        assert what != "file" or balancer.socket.read_text() == "precious"
    assert daemon.attached(bed) == {}


def test_a_state_file_cut_in_half(bed, balancer):
    """Errors: lbd does not guess; it names the file and says what to do, and the fast path goes on as it was."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    balancer.start().wait_resolved()
    balancer.ctl("backend", "set", "web/b1", "--weight", "50")
    assert balancer.terminate() == 0
    files = [path for path in balancer.state_dir.rglob("*") if path.is_file() and path.stat().st_size > 100]
    assert files, "lbd has kept no state"
    for path in files:
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
    said = balancer.refuse()
    assert any(str(path) in said for path in files)
    assert daemon.attached(bed) == dict.fromkeys(bed.interfaces, "native")
    assert {traffic.who(bed, place.VIP4_NAT, 80) for _ in range(30)} == {"b1", "b2", "b3"}


def test_a_first_start_makes_its_state_directory(bed, balancer):
    """Start: on a machine where lbd never ran, its directories are made, so that the first change can be kept."""
    balancer.state_dir.rmdir()
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]).start().wait_resolved()
    assert "weight 100 -> 50" in balancer.ctl("backend", "set", "web/b1", "--weight", "50").stdout


def test_no_root(bed, balancer):
    """Errors: an ordinary user is told that lbd needs root or which capabilities, not which system call failed."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    os.chmod(balancer.config, 0o644)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = bed.run("lb", *nobody, *balancer.command(), check=False, timeout=10)
    assert done.returncode == 1
    assert re.search(r"root|CAP_", done.stderr), done.stderr
    assert daemon.attached(bed) == {}


# enum bpf_cmd: 0 creates maps, 5 loads programs, 28 creates links.
@pytest.mark.parametrize("command, wanted", [("all", r"lacks the bpf\(\) system call"), ("0", "lacks"), ("5", "lacks"),
                                             ("28", "cannot attach")])
def test_a_kernel_without_a_feature(bed, balancer, command, wanted):
    """Errors: what the kernel lacks is named, and nothing stays behind."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    older = ("/usr/bin/python3", pathlib.Path(__file__).with_name("older_kernel.py"), command)
    done = bed.run("lb", *older, *balancer.command(), check=False, timeout=10)
    assert done.returncode == 1
    assert re.search(wanted, done.stderr), done.stderr
    assert daemon.attached(bed) == {}
    assert not bed.pin_dir.exists()


def test_pins_outside_a_bpf_file_system(bed, balancer):
    """Errors: the directory is named with the command that mounts one."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    balancer.pin_dir = balancer.dir / "pins"
    said = balancer.refuse()
    assert "mount -t bpf" in said and str(balancer.dir) in said


def test_pins_of_other_limits(bed, balancer):
    """Errors: a start with other limits leaves the running fast path alone and says how to go on."""
    services = [daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]
    balancer.configure(services).start().wait_resolved().terminate()
    running = daemon.pinned_ids(bed.pin_dir)
    balancer.configure(services, extra="[limits]\nbackends = 1000\n")
    said = balancer.refuse()
    assert "limits" in said and "--detach" in said
    assert daemon.pinned_ids(bed.pin_dir) == running
    assert traffic.who(bed, place.VIP4_NAT, 80) in ("b1", "b2", "b3")

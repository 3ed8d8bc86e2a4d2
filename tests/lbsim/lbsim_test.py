# SPDX-License-Identifier: Apache-2.0
"""lbsim as its users meet it: files, lines, invented world, errors and exit codes. LBSIM names the program."""
import json
import os
import struct
import subprocess

import pytest

LBSIM = os.path.abspath(os.environ["LBSIM"])  # the tests run it in folders of their own
CONFIG = """
interfaces = ["eth0", "eth1"]
[[service]]
name = "web"
vip = "tcp:203.0.113.10:80"
mode = "l2dsr"
backend = [{ name = "b1", address = "198.51.100.11:80" }]
"""
OWN = bytes.fromhex("021122334455")
# IPv4 192.0.2.1 -> 203.0.113.10, TCP 40000 -> 80, SYN; written by hand, checksums left at zero: nobody reads them.
DATAGRAM = bytes.fromhex(
    "4500002800010000400600 00c0000201cb00710a 9c40005000000000000000005002200000000000".replace(" ", "")
)
REQUEST = OWN + bytes.fromhex("020000000099") + b"\x08\x00" + DATAGRAM
FORWARDED = bytes.fromhex("0200c633640b") + OWN + b"\x08\x00" + DATAGRAM  # the MAC that README says is invented


@pytest.fixture
def here(tmp_path):
    (tmp_path / "lb.toml").write_text(CONFIG)
    return tmp_path


def lbsim(here, *arguments, text=None):
    command = [LBSIM, "--config", "lb.toml", *arguments]
    return subprocess.run(command, cwd=here, input=text, capture_output=True, text=True, timeout=30)


def pcap(order, magic, frames, link_type=1, snapped=0):
    """A capture of the classic format; `order` is that of struct."""
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)]
    for second, fraction, frame in frames:
        parts.append(struct.pack(order + "IIII", second, fraction, len(frame), len(frame) + snapped) + frame)
    return b"".join(parts)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic, nanoseconds", [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_a_capture_of_any_byte_order_and_resolution_is_forwarded_with_its_times(here, order, magic, nanoseconds):
    (here / "x.pcap").write_bytes(pcap(order, magic, [(5, 7, REQUEST), (6, 8, b"\xff" * 60)]))
    done = lbsim(here, "--in", "x.pcap", "--out", "y.pcap")
    assert (done.returncode, done.stderr) == (0, "")
    assert (here / "y.pcap").read_bytes() == pcap("<", 0xA1B23C4D, [(5, 7 * nanoseconds, FORWARDED)])[:20].replace(
        struct.pack("<I", 65535), struct.pack("<I", 262144)
    ) + pcap("<", 0xA1B23C4D, [(5, 7 * nanoseconds, FORWARDED)])[20:]


def test_a_line_says_verdict_service_row_backend_interface_and_bytes(here):
    done = lbsim(here, "--hex", text=f"# a comment\n\n{REQUEST.hex()}\n")
    assert done.returncode == 0
    number, ingress, verdict, service, _, backend, out, frame = done.stdout.splitlines()[0].split()
    assert (number, ingress, verdict) == ("1", "eth0", "forwarded_l2dsr")
    assert (service, backend) == ("service=web", "backend=web/b1")
    assert (out, bytes.fromhex(frame)) == ("out=eth0", FORWARDED)


def test_the_counters_at_the_end_are_the_sum_of_what_each_frame_counted(here):
    done = lbsim(here, "--hex", "--json", text=f"{REQUEST.hex()}\n{REQUEST.hex()}\n{'ff' * 14}\n")
    *frames, last = map(json.loads, done.stdout.splitlines())
    counters = last["counters"]
    assert counters["verdicts"] == {
        "forwarded_l2dsr": {"packets": 2, "bytes": 108},
        "not_unicast": {"packets": 1, "bytes": 14},
    }
    assert counters["services"]["web"] == {"packets": 2, "bytes": 108, "connections": 2}
    assert sum(frame["counted"]["backends"].get("web/b1", {}).get("bytes", 0) for frame in frames) == 108
    assert (frames[2]["out"], frames[2]["frame"]) == (None, "ff" * 14)


def test_a_frame_for_an_interface_that_is_not_configured_is_an_error(here):
    done = lbsim(here, "--hex", text=f"eth7 {REQUEST.hex()}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert '"eth7" is not among' in done.stderr


def test_a_capture_that_was_cut_is_refused(here):
    (here / "x.pcap").write_bytes(pcap("<", 0xA1B2C3D4, [(5, 7, REQUEST)], snapped=10))
    done = lbsim(here, "--in", "x.pcap")
    assert done.returncode == 1 and "cut to 54 of 64 bytes" in done.stderr


def test_a_capture_of_another_link_type_is_refused(here):
    (here / "x.pcap").write_bytes(pcap("<", 0xA1B2C3D4, [(5, 7, DATAGRAM)], link_type=101))
    done = lbsim(here, "--in", "x.pcap")
    assert done.returncode == 1 and "takes Ethernet" in done.stderr


@pytest.mark.parametrize("world, message", [
    ("", 'interface "eth0" is not in the world'),
    ("[[interface]]\nname = 'eth0'\nmac = '02:00'\n", "w.toml:3:7: mac: \"02:00\" is not a MAC address"),
    ("colour = 3\n", "w.toml:1:1: "),
    ("answers = -1\n", "answers"),
    ("[[neighbor]]\naddress = '192.0.2.1'\nresolved = false\ninterface = 'eth9'\n", "eth9"),
])  # fmt: skip
def test_an_error_in_a_world_is_named_with_its_place(here, world, message):
    (here / "w.toml").write_text(world)
    done = lbsim(here, "--hex", "--world", "w.toml", text="")
    assert done.returncode == 1 and message in done.stderr


@pytest.mark.parametrize("line", ["012", "0g", "eth0 01 02"])
def test_a_line_that_is_not_hexadecimal_is_refused_with_its_number(here, line):
    done = lbsim(here, "--hex", text=f"\n{line}\n")
    assert done.returncode == 1 and "line 2: " in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--in", "x", "--hex"], ["--hex", "--engine", "dpdk"], ["--hex", "extra"]])
def test_a_wrong_command_line_is_a_usage_error(here, arguments):
    done = lbsim(here, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "lbsim --help" in done.stderr


@pytest.mark.parametrize("tamper", ["rows web", "rows nobody 3", "everything web 3"])
def test_a_tamper_line_that_is_not_understood_is_refused(here, tamper):
    interfaces = "".join(f"[[interface]]\nname = 'eth{i}'\nmac = '02:00:00:00:00:0{i}'\n" for i in range(2))
    (here / "w.toml").write_text(f"tamper = ['{tamper}']\n{interfaces}")
    done = lbsim(here, "--hex", "--world", "w.toml", text="")
    assert done.returncode == 1 and f'tamper "{tamper}"' in done.stderr

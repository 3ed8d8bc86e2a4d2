# SPDX-License-Identifier: Apache-2.0
"""lb-decap with real TCP: a client, a balancer that wraps, a backend with the VIPs on lo and no tunnel device."""
import itertools
import os
import socket
import threading

import pytest

import tunnels
from bed import LB_DECAP, Bed

ALL_OF_IT = [word for prefix in tunnels.FROM for word in ("--from", prefix)]
PAYLOAD = os.urandom(200_000)


@pytest.fixture(scope="module")
def bed():
    with Bed() as made:
        yield made


def receive(connection, length):
    parts, missing = [], length
    while missing and (part := connection.recv(min(missing, 65536))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def echo(bed, family, payload=PAYLOAD, meanwhile=lambda: None):
    """Sends `payload` to the VIP over TCP and returns what the backend sends back: what it received."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with bed.inside("backend"):
        server = socket.socket(kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((tunnels.VIP[family], 80))
        server.listen()
    server.settimeout(15)

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.settimeout(15)
            connection.sendall(receive(connection, len(payload)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with bed.inside("client"):
        client = socket.socket(kind)
    with client, server:
        client.settimeout(15)
        client.connect((tunnels.VIP[family], 80))
        client.sendall(payload[:1000])
        meanwhile()
        client.sendall(payload[1000:])
        answer = receive(client, len(payload))
        thread.join(15)
    return answer


@pytest.mark.parametrize("kind,around,family", itertools.product(("ipip", "gue0", "gue1"), (4, 6), (4, 6)))
def test_tcp_in_both_directions_is_whole(bed, kind, around, family):
    assert bed.decap("attach", bed.port, *ALL_OF_IT, "--mode", "native").stdout == f"{bed.port} attached native\n"
    verdict = "unwrapped_ipip" if kind == "ipip" else "unwrapped_gue"
    before = bed.packets(verdict)
    with bed.balancer(kind, around):
        assert echo(bed, family) == PAYLOAD
    assert bed.packets(verdict) - before > len(PAYLOAD) // 1500


def test_generic_mode_unwraps_too(bed):
    assert bed.decap("attach", bed.port, *ALL_OF_IT, "--mode", "generic").stdout == f"{bed.port} attached generic\n"
    assert bed.status()[0]["attached"] == "generic"
    with bed.balancer("ipip", 6):
        assert echo(bed, 4) == PAYLOAD


def test_attaching_again_replaces_settings_while_packets_flow_and_goes_on_counting(bed):
    bed.decap("attach", bed.port, *ALL_OF_IT, "--mode", "native", check=True)
    unknown = bed.unknown_protocols()
    before = bed.packets("unwrapped_ipip")

    def again():
        for port in range(7000, 7010):
            bed.decap("attach", bed.port, *ALL_OF_IT, "--gue-port", port, check=True)

    thread = threading.Thread(target=again)
    with bed.balancer("ipip", 4):
        assert echo(bed, 4, meanwhile=thread.start) == PAYLOAD
        while thread.is_alive():
            assert bed.status()[0]["gue_port"] in (6080, *range(7000, 7010))
            assert echo(bed, 4) == PAYLOAD
    thread.join()
    assert bed.status()[0]["gue_port"] == 7009
    assert bed.packets("unwrapped_ipip") > before
    assert bed.unknown_protocols() == unknown


def test_a_tunnel_from_elsewhere_reaches_no_socket(bed):
    bed.decap("attach", bed.port, "--from", "192.0.2.0/24", check=True)
    before = bed.packets("source_refused")
    with bed.balancer("ipip", 4), bed.inside("client"):
        attempt = socket.socket()
    with bed.balancer("ipip", 4), attempt:
        attempt.settimeout(1.5)
        with pytest.raises(TimeoutError):
            attempt.connect((tunnels.VIP[4], 80))
    assert bed.packets("source_refused") > before


def test_status_tells_what_runs(bed):
    bed.decap("attach", bed.port, *ALL_OF_IT, "--to", tunnels.OWN[4], "--gue-port", "6081", check=True)
    [one] = bed.status()
    assert (one["interface"], one["gue_port"]) == (bed.port, 6081)
    assert one["to"] == [tunnels.OWN[4]]
    assert one["from"] == sorted(tunnels.FROM)
    assert list(one["verdicts"]) == tunnels.verdict_names()
    table = bed.decap("status", check=True).stdout
    assert all(name in table for name in tunnels.verdict_names())


def test_without_to_the_addresses_of_the_interface_are_the_tunnels_ends(bed):
    bed.decap("attach", bed.port, *ALL_OF_IT, check=True)
    [one] = bed.status()
    assert set(tunnels.OWN.values()) <= set(one["to"])
    assert "198.18.255.2" not in one["to"]


def test_detach_leaves_no_program_and_no_pin_and_twice_is_no_change(bed):
    bed.decap("attach", bed.port, *ALL_OF_IT, check=True)
    assert bed.decap("detach", bed.port).stdout == f"{bed.port} detached\n"
    assert "xdp" not in bed.run("backend", "ip", "link", "show", bed.port).stdout
    assert not os.path.exists(bed.pins)
    assert (again := bed.decap("detach", bed.port)).returncode == 0 and again.stdout == "no change\n"
    assert bed.status() == []


@pytest.mark.parametrize("words,code,why", [
    ("attach nowhere --from 192.0.2.0/24", 1, "no interface nowhere"),
    ("attach {} --from 192.0.2.1/24", 1, "bits set beyond"),
    ("attach {} --from 192.0.2.0/33", 1, "0 to 32"),
    ("attach {} --from 192.0.2", 1, "not a prefix"),
    ("attach {} --from ::ffff:192.0.2.0/120", 1, "not a prefix"),
    ("attach {} --from 192.0.2.0/24 --to 192.0.2.0/24", 1, "not an IPv4 or IPv6 address"),
    ("attach lo --from 192.0.2.0/24 --mode native", 1, "native"),
    ("attach {}", 2, "--from is required"),
    ("attach {} --from 192.0.2.0/24 --gue-port 0", 2, "gue-port"),
    ("attach {} --from 192.0.2.0/24 --mode fast", 2, "mode"),
    ("detach nowhere", 1, "no interface nowhere"),
    ("mend", 2, "subcommand"),
])
def test_what_cannot_be_done_is_said_and_changes_nothing(bed, words, code, why):
    bed.decap("detach", bed.port)
    done = bed.decap(*words.format(bed.port).split())
    assert done.returncode == code and why in done.stderr, done
    assert bed.status() == [] and not os.path.exists(bed.pins)


def test_an_interface_with_a_dot_in_its_name_is_attached_and_found_again():
    with Bed("b.0") as dotted:
        dotted.decap("attach", "b.0", *ALL_OF_IT, check=True)
        dotted.decap("attach", "b.0", *ALL_OF_IT, check=True)
        assert dotted.status()[0]["interface"] == "b.0"
        dotted.decap("detach", "b.0", check=True)
        assert dotted.status() == []


def test_a_foreign_xdp_program_is_left_alone(bed):
    bed.decap("detach", bed.port)
    bed.decap("attach", bed.port, *ALL_OF_IT, check=True)
    words = ("--pin-dir", bed.pins + "-other", "attach", bed.port, *ALL_OF_IT)
    elsewhere = bed.run("backend", LB_DECAP, *words, check=False)
    assert elsewhere.returncode == 1 and "somebody else" in elsewhere.stderr
    assert not os.path.exists(bed.pins + "-other")
    assert bed.status()[0]["attached"] == "native"

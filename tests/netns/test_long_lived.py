# SPDX-License-Identifier: Apache-2.0
"""Protocols with long connections through the VIP, untouched: ssh, TLS, WebSocket."""

import asyncio
import contextlib
import ssl
import subprocess
import time

import pytest

import daemon
import layout as place
import servers
import traffic
from conftest import running
from test_host_traffic import SSH

SECONDS, PAUSE = 3.0, 0.1


@pytest.fixture(scope="module")
def services(bed):
    """ssh, TLS and WebSocket services, and one that the tests change meanwhile."""
    with contextlib.ExitStack() as stack:
        for host in ("b1", "b2", "b3"):
            stack.enter_context(contextlib.closing(servers.WebSocketEcho(bed, host, 9000)))
        for balancer in running(bed):
            balancer.configure([daemon.service(bed, "ssh", place.VIP4_NAT, 22, "nat", hosts=("b1", "b2", "b3")),
                                daemon.service(bed, "tls", place.VIP4_NAT, 443, "nat", 8443),
                                daemon.service(bed, "tls6", place.VIP6_NAT, 443, "nat", 8443),
                                daemon.service(bed, "ws", place.VIP4_NAT, 9000, "nat"),
                                daemon.service(bed, "changing", place.VIP4_NAT, 80, "nat", 8080)])
            balancer.start().wait_resolved()
            yield balancer


@contextlib.contextmanager
def changes(balancer):
    """Another service's backends come and go meanwhile."""
    b4 = {"address": f"{balancer.bed.backend('b4').v4}:8080", "weight": 100}

    def step():
        balancer.change("PUT", "/v1/services/changing/backends/b4", b4)
        balancer.change("DELETE", "/v1/services/changing/backends/b4")

    with traffic.Loop(step, pause=0.02) as loop:
        yield
    assert loop.failures == [] and len(loop.results) > 10


def ticks():
    """Yields 0, 1, 2 ... at a steady pace for some seconds."""
    end = time.monotonic() + SECONDS
    number = 0
    while time.monotonic() < end:
        yield number
        number += 1
        time.sleep(PAUSE)


def test_an_ssh_session_lives(services):
    """Long-lived: lines typed into one ssh session come back for seconds."""
    bed = services.bed
    session = bed.popen("client", *SSH, "-i", bed.run_dir / "client_key", f"root@{place.VIP4_NAT}", "exec cat",
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    try:
        with changes(services):
            for number in ticks():
                session.stdin.write(f"line {number}\n")
                assert session.stdout.readline() == f"line {number}\n"
        session.stdin.close()
        assert session.wait(5) == 0
        assert number > 10
    finally:
        session.kill()
        session.wait()


@pytest.mark.parametrize("vip", [place.VIP4_NAT, place.VIP6_NAT])
def test_a_tls_connection_lives(services, vip):
    """Long-lived: one TLS connection, certificate verified, requests for seconds, all by one backend."""
    bed = services.bed
    context = ssl.create_default_context(cafile=str(bed.run_dir / "server.crt"))
    raw = traffic.connect(bed, vip, 443)
    with context.wrap_socket(raw, server_hostname="weir.test") as connection, changes(services):
        names = {traffic.ask(connection) for _ in ticks()}
    assert len(names) == 1 and names <= {"b1", "b2", "b3"}


def test_curl_verifies_the_backend_certificate_through_the_vip(services):
    """TLS passes untouched: curl accepts the backend's certificate, and without that root it does not."""
    bed = services.bed
    options = ("--resolve", f"weir.test:443:{place.VIP4_NAT}")
    got = traffic.curl(bed, "https://weir.test/", "--cacert", bed.run_dir / "server.crt", *options)
    assert got.strip() in ("b1", "b2", "b3")
    refused = bed.run("client", "curl", "-sS", "--max-time", "5", *options, "https://weir.test/", check=False)
    assert refused.returncode == 60, "the control: curl accepted a certificate that it cannot know"


def test_a_websocket_lives(services):
    """Long-lived: messages over one WebSocket come back for seconds, all from one backend."""
    import websockets

    raw = traffic.connect(services.bed, place.VIP4_NAT, 9000)

    async def talk() -> set:
        names = set()
        async with websockets.connect(f"ws://{place.VIP4_NAT}:9000/", sock=raw) as connection:
            for number in ticks():
                await connection.send(f"message {number}")
                name, _, message = (await asyncio.wait_for(connection.recv(), 5)).partition(":")
                assert message == f"message {number}"
                names.add(name)
        return names

    raw.settimeout(None)
    raw.setblocking(False)
    with changes(services):
        assert len(asyncio.run(talk())) == 1

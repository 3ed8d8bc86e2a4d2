# SPDX-License-Identifier: Apache-2.0
"""M26: how long a silent flow is remembered: per service and protocol, as configured, and by default for hours."""

import contextlib
import time

import pytest

import consistency
import layout as place
import servers
from consistency import add, echo_service
from keeping import Echo, Keep

LONG, SHORT, TIMED, CLOSING = range(7401, 7405)
TCP_IDLE, UDP_IDLE, CLOSING_IDLE, SETTLE = 5, 2, 2, 2  # seconds
SILENCE = 7  # seconds: longer than window and idle timeout of the service "short"


@pytest.fixture(scope="module")
def balancer(bed):
    services = [echo_service(bed, "long", LONG, settle=f"{SETTLE}s"),
                echo_service(bed, "short", SHORT, settle=f"{SETTLE}s", idle=f"{TCP_IDLE}s"),
                echo_service(bed, "tcp", TIMED, track="all", idle=f"{TCP_IDLE}s"),
                echo_service(bed, "udp", TIMED, protocol="udp", track="all", idle=f"{UDP_IDLE}s"),
                echo_service(bed, "closing", CLOSING, vip=place.VIP4_DSR, mode="l2dsr", track="all",
                             idle_closing=f"{CLOSING_IDLE}s"),
                echo_service(bed, "plain", 7499), echo_service(bed, "plainudp", 7499, protocol="udp")]
    with Echo(bed, None, f"{LONG}-{CLOSING}"), Echo(bed, None, TIMED, udp=True), \
            consistency.started(bed, services) as made:
        yield made


def test_the_defaults_let_silent_connections_live_for_hours(balancer):
    """TCP 3 h, UDP 30 s, a minute after FIN or RST, a window of 15 min: said by the API for services that set none."""
    plain, udp = (balancer.get(f"/v1/services/{name}") for name in ("plain", "plainudp"))
    assert (plain["idle_seconds"], plain["idle_closing_seconds"], plain["settle_seconds"]) == (3 * 3600, 60, 15 * 60)
    assert (udp["idle_seconds"], plain["on_remove"], udp["on_remove"]) == (30, "keep", "rehash")
    assert {plain["track"], udp["track"]} == {"changes"}


def test_flows_are_forgotten_after_their_idle_timeout_and_silent_ones_live_without_it(balancer, record_property):
    """At once: a TCP flow is forgotten 5 s and a UDP flow 2 s after its last packet, one with a FIN 2 s after it, each
    within a second; flows silent for 7 s live on in a row that moved, beyond its window; with an idle timeout of 5 s
    they do not: the control."""
    bed = balancer.bed
    vips = {"long": (place.VIP4_NAT, LONG), "short": (place.VIP4_NAT, SHORT), "tcp": (place.VIP4_NAT, TIMED),
            "udp": (place.VIP4_NAT, TIMED), "closing": (place.VIP4_DSR, CLOSING)}
    with contextlib.ExitStack() as stack:
        flows = {name: stack.enter_context(Keep(bed, vip, port, 100, **({"udp": True} if name == "udp" else {})))
                 for name, (vip, port) in vips.items()}
        for name in ("long", "short"):
            add(balancer, name, "b4", vips[name][1])
        for name in ("long", "short"):
            flows[name].settled()  # each has been seen since its row moved
        assert [consistency.flows(balancer, service=name) for name in ("tcp", "udp", "closing")] == [100] * 3
        for name in ("long", "short", "tcp", "udp"):
            flows[name].ask("pace", 0)
        flows["closing"].ask("close", 100)
        servers.wait_for(lambda: flows["closing"].report()["ended"] == 100, 3, "all have ended")
        silent = time.monotonic()

        expected = {"udp": UDP_IDLE, "closing": CLOSING_IDLE, "tcp": TCP_IDLE}
        gone = {}
        while len(gone) < len(expected) and time.monotonic() < silent + TCP_IDLE + 3:
            for name in expected.keys() - gone.keys():
                if consistency.flows(balancer, service=name) == 0:
                    gone[name] = time.monotonic() - silent
            time.sleep(0.05)
        record_property("figure", "M26: forgotten after " + ", ".join(
            f"{name} {at:.1f} s (configured {expected[name]} s)" for name, at in gone.items()))
        time.sleep(max(0.0, silent + SILENCE - time.monotonic()))
        for name in ("long", "short"):
            flows[name].ask("pace", 0.2)
        lived = flows["long"].settled()
        time.sleep(1)
        control = flows["short"].report()
    assert gone.keys() == expected.keys()
    assert {name: expected[name] - 1 < at < expected[name] + 1.3 for name, at in gone.items()} == \
        dict.fromkeys(expected, True), gone
    consistency.expect("on", lived)
    consistency.expect("off", control)

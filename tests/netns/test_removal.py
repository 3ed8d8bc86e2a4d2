# SPDX-License-Identifier: Apache-2.0
"""M9: what becomes of the flows of a backend that is removed: on-remove = keep, rehash, reset. `conn kill`."""

import contextlib
import time

import pytest

import consistency
import layout as place
import servers
import traffic
from consistency import add, echo_service, expect, protection
from keeping import Echo, Keep, describe

KEEP, RESET, REHASH, KILL, RESET6, RESET_DSR = range(7101, 7107)
FLOWS = 300
# Two of the modes of a reset: the program answers by the way back, over either family, with answers passing it or not.
RESETS = {"reset": (RESET, place.VIP4_NAT), "reset6": (RESET6, place.VIP6_NAT), "resetdsr": (RESET_DSR, place.VIP4_DSR)}


@pytest.fixture(scope="module")
def echo(bed):
    with Echo(bed, None, f"{KEEP}-{RESET_DSR}") as made:
        yield made


@pytest.fixture(scope="module")
def balancer(bed, echo, protection):
    services = [echo_service(bed, "keep", KEEP, on_remove="keep"), echo_service(bed, "rehash", REHASH,
                                                                                on_remove="rehash"),
                echo_service(bed, "kill", KILL, track="all"),
                echo_service(bed, "reset", RESET, on_remove="reset"),
                echo_service(bed, "reset6", RESET6, vip=place.VIP6_NAT, on_remove="reset"),
                echo_service(bed, "resetdsr", RESET_DSR, vip=place.VIP4_DSR, mode="l2dsr", on_remove="reset")]
    with consistency.started(bed, services, protection) as made:
        yield made


@contextlib.contextmanager
def removed(balancer, service: str, port: int, vip: str = place.VIP4_NAT, flows: int = FLOWS):
    """Watched flows of a service whose b2 has just been removed; it is there again afterwards. Yields the flows, how
    many were of b2, and when it went."""
    with Keep(balancer.bed, vip, port, flows) as watched:
        mine = watched.on("b2")["open"]
        assert mine > flows / 6, "b2 has too few flows for this to say much"
        balancer.ctl("backend", "del", f"{service}/b2")
        yield watched, mine, time.monotonic()
    add(balancer, service, "b2", port)


@protection
def test_keep_lets_the_flows_of_a_removed_backend_live(balancer, protection):
    """keep: b2 is removed: all its flows go on with it, no new one comes, and it may be added again meanwhile."""
    with removed(balancer, "keep", KEEP) as (watched, mine, _):
        assert "b2" not in balancer.backends("keep")
        with Keep(balancer.bed, place.VIP4_NAT, KEEP, 60) as new:
            assert new.on("b2")["open"] == 0
        report = watched.settled() if protection == "on" else watched.report()
        expect(protection, report)
        add(balancer, "keep", "b2", KEEP)
        if protection == "on":
            assert watched.settled()["broken"] == 0 and watched.on("b2")["open"] == mine
        balancer.ctl("backend", "del", "keep/b2")


@pytest.mark.parametrize("protection", ["on"], scope="module")
@pytest.mark.parametrize("service", RESETS)
def test_reset_ends_the_flows_of_a_removed_backend_at_once(balancer, echo, service, protection, record_property):
    """reset: each client of b2 gets a RST within 1 s of its next packet, b2 itself learns it, nobody else is hurt."""
    port, vip = RESETS[service]
    with removed(balancer, service, port, vip) as (watched, mine, when):
        report = servers.wait_for(lambda: (r := watched.report())["broken"] >= mine and r, 5, "b2's flows are reset")
        took = report["last_fault"] - when
        servers.wait_for(lambda: echo.open_on("b2", port) == 0, 3, "b2 has been told of every end")
        report = watched.settled()
        assert (report["reset"], report["broken"]) == (mine, mine), describe(report)
        assert watched.on("b2")["broken"] == mine
    record_property("figure", f"M9, {service}: {mine} flows, a line every 0.2 s each, ended within {took:.2f} s")
    assert took < 1.2


@pytest.mark.parametrize("protection", ["on"], scope="module")
def test_rehash_sends_the_next_packet_elsewhere(balancer, protection):
    """rehash: the next packets of b2's flows reach other backends, which do not know them; the others' live."""
    bed = balancer.bed
    with Keep(bed, place.VIP4_NAT, REHASH, FLOWS) as watched:
        mine = {port for port, host in watched.where().items() if host == "b2"}
        with traffic.Captures(bed, ("b1", "b3"), "b0", f"tcp dst port {REHASH}") as taps:
            balancer.ctl("backend", "del", "rehash/b2")
            report = servers.wait_for(lambda: (r := watched.report())["broken"] >= len(mine) and r, 5, "all have moved")
        lines = "\n".join(tap.sources() for tap in taps.values())
        assert {port for port in mine if f".{port} >" not in lines} == set(), "flows that came to no other backend"
        report = watched.settled()
        assert report["broken"] == watched.on("b2")["broken"] == len(mine), describe(report)
        assert consistency.metric(balancer, "weir_service_connections_closed_total", service="rehash",
                                  reason="killed") == 0
    add(balancer, "rehash", "b2", REHASH)


@pytest.mark.parametrize("protection", ["on"], scope="module")
def test_conn_finds_and_kills_one_flow_and_all_of_a_backend(balancer, echo, protection):
    """conn: list, count and find see every flow of a service that remembers all; kill ends just those asked for."""
    bed = balancer.bed
    with Keep(bed, place.VIP4_NAT, KILL, FLOWS) as watched:
        watched.settled()
        where = watched.where()
        listed = {int(c["source"].rpartition(":")[2]): c for c in consistency.conns(balancer, service="kill")}
        assert {port: c["backend"].rpartition("/")[2] for port, c in listed.items()} == where
        assert {c["state"] for c in listed.values()} == {"established"}
        count = balancer.get("/v1/conns/count?service=kill")
        assert (count["count"], sum(count["by_backend"].values())) == (FLOWS, FLOWS)
        port, host = next(iter(where.items()))
        found = balancer.ctl("conn", "find", "tcp", f"{place.CLIENT4}:{port}", f"{place.VIP4_NAT}:{KILL}").stdout
        assert host in found
        assert "killed" in balancer.ctl("conn", "kill", "--source", f"{place.CLIENT4}:{port}").stdout
        report = servers.wait_for(lambda: (r := watched.report())["broken"] and r, 3, "the flow has been killed")
        assert [f["source_port"] for f in report["faults"]] == [port] and report["reset"] == 1
        rest = watched.on("b3")["open"]
        balancer.ctl("conn", "kill", "--backend", "kill/b3")
        servers.wait_for(lambda: watched.on("b3")["open"] == 0, 3, "b3's flows have been killed")
        servers.wait_for(lambda: echo.open_on("b3", KILL) == 0, 3, "b3 has been told")
        report = watched.settled()
        assert report["broken"] == 1 + rest and set(report["by_backend"]) == {"b1", "b2", "b3"}
        status, _ = balancer.api("POST", "/v1/conns/kill")
        assert status >= 400, "a kill without a filter"
        assert watched.settled()["broken"] == 1 + rest

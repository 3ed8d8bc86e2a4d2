# SPDX-License-Identifier: Apache-2.0
"""Changes at run time: seen at once, harmless to others, and as dear among a thousand services as alone."""

import itertools
import statistics
import time

import pytest

import daemon
import layout as place
import timing
import traffic

CYCLES = 1000


def steady_ports(balancer, without, wanted: int) -> tuple:
    """Source ports of the client whose backend is the same with b4 and without it, and one that b4 takes over.

    `without` are the picks of the same ports before b4 was there.
    """
    now = {port: balancer.trace(place.CLIENT4, port, f"{place.VIP4_NAT}:80") for port in without}
    stay = [port for port in without if now[port] == without[port]]
    moved = [port for port in without if now[port] == "b4"]
    assert set(stay) | set(moved) == set(without), "a port has moved between backends that were not changed"
    return stay[:wanted], moved


@pytest.fixture
def two_services(bed, balancer, memory_state):
    """Services web (b1 b2 b3, changed by the tests) and other (never touched)."""
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080),
                        daemon.service(bed, "other", place.VIP4_DSR, 80, "l2dsr")])
    return balancer.start().wait_resolved()


def b4(bed) -> dict:
    return {"address": f"{bed.backend('b4').v4}:8080", "weight": 100}


@pytest.mark.limit(120)
def test_a_thousand_changes_disturb_no_connection(bed, two_services, record_property):
    """M7: 1000 times add and delete of a backend: wrk -c64 elsewhere, kept connections here, also in rows that the
    backend takes over and gives back: 0 errors."""
    balancer = two_services
    path = "/v1/services/web/backends/b4"
    without = {port: balancer.trace(place.CLIENT4, port, f"{place.VIP4_NAT}:80") for port in range(42000, 42060)}
    balancer.change("PUT", path, b4(bed))
    balancer.wait_resolved()
    stay, moved = steady_ports(balancer, without, 20)
    assert moved, "no row has moved to the new backend"
    balancer.change("DELETE", path)

    kept = {port: traffic.connect(bed, place.VIP4_NAT, 80, port) for port in stay + moved}
    turn = itertools.cycle(kept)

    def step():
        port = next(turn)
        name = traffic.ask(kept[port])
        assert name == without[port], f"port {port} was on {without[port]} and is answered by {name}"

    watch = timing.Stopwatch(balancer.process.pid)
    wrk = traffic.Wrk(bed, traffic.url(place.VIP4_DSR, 80, "/quiet"), 300)
    with traffic.Loop(step, pause=0.002) as loop:
        for _ in range(CYCLES):
            for method, body in (("PUT", b4(bed)), ("DELETE", None)):
                with watch.step():
                    balancer.change(method, path, body)
    outcome = wrk.stop()
    for connection in kept.values():
        connection.close()

    record_property("figure", f"2000 changes under wrk -c64: median {statistics.median(watch.elapsed) * 1000:.2f} ms, "
                    f"longest {max(watch.elapsed) * 1000:.2f} ms ({max(watch.own) * 1000:.2f} ms without "
                    f"waiting for a CPU); "
                    f"{outcome['requests']} requests by wrk, {len(loop.results)} on kept connections")
    assert outcome["errors"] == 0, outcome["text"]
    assert loop.failures == []
    assert len(loop.results) > 500
    # Of 2000: on two shared cores the one in a hundred that met another job says nothing of lbd.
    assert statistics.quantiles(watch.own, n=100)[98] < 0.050


def test_a_change_is_seen_by_the_next_packet(bed, two_services, record_property):
    """M7: from lbctl's start to the first connection on the new backend less than 50 ms, and back again."""
    balancer = two_services
    without = {port: balancer.trace(place.CLIENT4, port, f"{place.VIP4_NAT}:80") for port in range(43000, 43040)}
    add = ("backend", "add", "web", b4(bed)["address"], "--name", "b4")
    balancer.ctl(*add)
    balancer.wait_resolved()
    _, moved = steady_ports(balancer, without, 0)
    balancer.ctl("backend", "del", "web/b4")
    took = []
    for _ in range(20):
        for words, wanted in ((add, "b4"), (("backend", "del", "web/b4"), without[moved[0]])):
            with timing.undisturbed(balancer.process.pid):
                start = time.monotonic()
                balancer.ctl(*words)
                name = traffic.who(bed, place.VIP4_NAT, 80, moved[0])
                took.append(time.monotonic() - start)
            assert name == wanted
    record_property("figure", f"lbctl start to first answer of the new backend: median "
                    f"{statistics.median(took) * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms of {len(took)}")
    assert max(took) < 0.050


def median_change(balancer, path: str, body: dict, pairs: int = 100) -> float:
    took = []
    for _ in range(pairs):
        for method, content in (("PUT", body), ("DELETE", None)):
            start = time.monotonic()
            balancer.change(method, path, content)
            took.append(time.monotonic() - start)
    return statistics.median(took)


@pytest.mark.limit(120)
def test_the_cost_of_a_change_does_not_depend_on_other_services(bed, balancer, memory_state, record_property):
    """M7: the median change among 1000 services takes at most twice the median change in one."""
    def many(count):
        return [daemon.Service(f"s{i}", f"tcp:{place.VIP4_NAT}:{1000 + i}", "nat",
                               [(host, f"{bed.backend(host).v4}:{10000 + i}") for host in ("b1", "b2")], rows=256)
                for i in range(count)]

    path, body = "/v1/services/s0/backends/b3", {"address": f"{bed.backend('b3').v4}:10000", "weight": 100}
    balancer.configure(many(1)).start().wait_resolved()
    medians = {1: [], 1000: []}
    for _ in range(2):  # interleaved, so that a machine that gets slower meanwhile slows both
        for count in medians:
            (balancer.dir / "many.toml").write_text(daemon.config_text(bed, many(count)))
            balancer.ctl("apply", "--force", "-f", balancer.dir / "many.toml")
            assert len(balancer.get("/v1/services")) == count
            median_change(balancer, path, body, pairs=10)
            medians[count].append(median_change(balancer, path, body))
    one, thousand = (min(medians[count]) for count in medians)
    record_property("figure", f"median change: {one * 1000:.2f} ms with 1 service, {thousand * 1000:.2f} ms with 1000")
    assert thousand < 2 * one


def test_no_new_connection_reaches_a_drained_backend_after_100_ms(bed, two_services, record_property):
    """Drain: connections that begin 100 ms after `lbctl backend drain` began go elsewhere; undrain brings it back."""
    balancer = two_services
    with traffic.Loop(lambda: traffic.who(bed, place.VIP4_NAT, 80)) as loop:
        time.sleep(1)
        start = time.monotonic()
        balancer.ctl("backend", "drain", "web/b1")
        took = time.monotonic() - start
        time.sleep(1)
        back = time.monotonic()
        balancer.ctl("backend", "undrain", "web/b1")
        time.sleep(1)
    names = [(begin, name) for begin, _, name in loop.results]
    drained = [name for begin, name in names if start + 0.1 <= begin < back]
    last = max(begin for begin, name in names if name == "b1" and begin < back)
    record_property("figure", f"drain: lbctl took {took * 1000:.1f} ms; last new connection to the backend began "
                    f"{(last - start) * 1000:+.1f} ms after lbctl's start ({len(names)} connections)")
    assert "b1" in [name for begin, name in names if begin < start], "b1 got nothing before it was drained"
    assert len(drained) > 50 and "b1" not in drained
    assert "b1" in [name for begin, name in names if begin > back + 0.1]
    assert balancer.backends("web")["b1"]["admin"] == "active"
    assert loop.failures == []


def test_weight_zero_and_maint_take_no_new_connections(bed, two_services):
    """M3, M7: weight 0 and maint empty a backend's rows; the weight that was set comes back with undrain."""
    balancer = two_services
    balancer.ctl("backend", "set", "web/b1", "--weight", "0")
    balancer.ctl("backend", "maint", "web/b2")
    assert {traffic.who(bed, place.VIP4_NAT, 80) for _ in range(30)} == {"b3"}
    rows = {name: backend["rows"] for name, backend in balancer.backends("web").items()}
    assert rows == {"b1": 0, "b2": 0, "b3": 65536}
    balancer.ctl("backend", "set", "web/b1", "--weight", "50")
    balancer.ctl("backend", "undrain", "web/b2")
    shares = {name: backend["share"] for name, backend in balancer.backends("web").items()}
    assert shares == pytest.approx({"b1": 0.2, "b2": 0.4, "b3": 0.4}, abs=0.005)


def test_a_source_hash_keeps_a_client_on_one_backend(bed, balancer):
    """M24: 200 ports of one client go to one backend, and stay there when another backend is removed."""
    balancer.configure([daemon.service(bed, "sticky", place.VIP4_NAT, 80, "nat", 8080, hash="source"),
                        daemon.service(bed, "sticky6", place.VIP6_NAT, 80, "nat", 8080, hash="source"),
                        daemon.service(bed, "spread", place.VIP4_DSR, 80, "l2dsr")])
    balancer.start().wait_resolved()
    for service, vip in (("sticky", place.VIP4_NAT), ("sticky6", place.VIP6_NAT)):
        (chosen,) = {traffic.who(bed, vip, 80) for _ in range(200)}
        others = sorted({"b1", "b2", "b3"} - {chosen})
        balancer.ctl("backend", "del", f"{service}/{others[0]}")
        assert {traffic.who(bed, vip, 80) for _ in range(50)} == {chosen}
        balancer.ctl("backend", "del", f"{service}/{chosen}")
        assert {traffic.who(bed, vip, 80) for _ in range(20)} == {others[1]}, "the control: its removal moves it"
    assert len({traffic.who(bed, place.VIP4_DSR, 80) for _ in range(200)}) == 3, "the control: a 5-tuple hash spreads"

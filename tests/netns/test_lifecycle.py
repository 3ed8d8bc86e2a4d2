# SPDX-License-Identifier: Apache-2.0
"""lbd may end in any way: traffic goes on, what was acknowledged is kept, and detach leaves nothing."""

import re
import time

import pytest

import bed as beds
import daemon
import layout as place
import servers
import traffic


@pytest.fixture
def started(bed, balancer):
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080),
                        daemon.service(bed, "web6", place.VIP6_DSR, 80, "l2dsr")])
    return balancer.start().wait_resolved()


def without_comments(text: str) -> list:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def steady(bed):
    """Connections over IPv4 nat and IPv6 l2dsr, without end."""
    return traffic.Loop(lambda: (traffic.who(bed, place.VIP4_NAT, 80), traffic.who(bed, place.VIP6_DSR, 80)))


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_traffic_goes_on_while_lbd_is_gone_and_comes_back(bed, started, how):
    """Restart: new and open connections work before, without and with the next lbd; the program stays attached."""
    kept = traffic.connect(bed, place.VIP4_NAT, 80)
    first = traffic.ask(kept)
    attached = daemon.attached(bed)
    with steady(bed) as loop:
        time.sleep(0.5)
        if how == "SIGTERM":
            assert started.terminate() == 0
        else:
            started.kill()
        gone = time.monotonic()
        time.sleep(1)
        assert daemon.attached(bed) == attached
        assert traffic.ask(kept) == first
        back = time.monotonic()
        started.start().wait_resolved()
        assert daemon.attached(bed) == attached
        time.sleep(0.5)
    assert loop.failures == []
    assert sum(gone < begin < back for begin, _, _ in loop.results) > 50
    assert traffic.ask(kept) == first
    kept.close()


def test_what_was_acknowledged_survives_kill(bed, started):
    """Restart: backends added, drained, re-weighted, a service added: all there after kill -9, counters too."""
    started.ctl("backend", "add", "web", f"{bed.backend('b4').v4}:8080", "--name", "b4")
    started.ctl("backend", "drain", "web/b1")
    started.ctl("backend", "set", "web/b2", "--weight", "50")
    started.ctl("service", "add", "late", "--vip", f"tcp:{place.VIP4_NAT}:81", "--mode", "nat", "--rows", "256")
    started.ctl("backend", "add", "late", f"{bed.backend('b4').v4}:80", "--name", "b4")
    for _ in range(10):
        traffic.who(bed, place.VIP4_NAT, 80)
    before, rows = started.export(), started.get("/v1/services/web/rows")
    packets = {b["name"]: b["packets"] for b in started.get("/v1/stats")["backends"] if b["service"] == "web"}
    started.kill()
    started.start().wait_resolved()
    assert started.export() == before
    assert started.get("/v1/services/web/rows") == rows
    backends = started.backends("web")
    assert (backends["b1"]["admin"], backends["b2"]["weight"]) == ("draining", 50)
    after = {b["name"]: b["packets"] for b in started.get("/v1/stats")["backends"] if b["service"] == "web"}
    assert sum(packets.values()) > 0
    assert {name: after[name] >= count for name, count in packets.items()} == dict.fromkeys(packets, True)
    assert traffic.who(bed, place.VIP4_NAT, 81) == "b4"


def test_detach_leaves_nothing(bed, started):
    """Detach: no program, link, map or pin stays, lbd ends with 0, and the host still routes."""
    traffic.who(bed, place.VIP4_NAT, 80)
    ids = daemon.pinned_ids(bed.pin_dir)
    assert ids["prog"] and ids["link"] and len(ids["map"]) > 3, f"the control: too little is pinned: {ids}"
    assert daemon.attached(bed) == dict.fromkeys(bed.interfaces, "native")
    started.ctl("detach")
    assert started.process.wait(10) == 0
    assert daemon.attached(bed) == {}
    assert not bed.pin_dir.exists() or list(bed.pin_dir.iterdir()) == []

    def left():
        return [(kind, number) for kind, numbers in ids.items() for number in numbers
                if beds.run("bpftool", kind, "show", "id", number, check=False).returncode == 0]

    servers.wait_for(lambda: not left(), 5, f"the kernel has freed {ids}")
    assert not started.socket.exists()
    backend = bed.backend("b1")
    assert traffic.curl(bed, traffic.url(backend.v4, 8080)).strip() == "b1"
    with pytest.raises(OSError):
        traffic.connect(bed, place.VIP4_NAT, 80, timeout=1)


def test_detach_without_a_daemon_removes_what_it_left(bed, started):
    """Detach: `lbd --detach` after kill -9 removes program and pins."""
    started.kill()
    assert daemon.attached(bed)
    bed.run("lb", *started.command("--detach"))
    assert daemon.attached(bed) == {}
    assert not bed.pin_dir.exists() or list(bed.pin_dir.iterdir()) == []


def test_a_stop_and_detach_leave_the_next_start_clean(bed, started):
    """Detach: lbd can be started again afterwards, and serves."""
    started.ctl("detach")
    started.process.wait(10)
    started.start().wait_resolved()
    assert traffic.who(bed, place.VIP4_NAT, 80) in ("b1", "b2", "b3")


def test_export_flush_apply_gives_the_same_export(bed, started):
    """Export: what it writes, `apply -f` takes back to the same state, weights and drains included."""
    started.ctl("backend", "drain", "web/b1")
    started.ctl("backend", "set", "web/b2", "--weight", "7")
    before, rows = started.export(), started.get("/v1/services/web/rows")
    (started.dir / "export.toml").write_text(before)
    for name in ("web", "web6"):
        started.ctl("service", "del", name, "--force")
    assert started.get("/v1/services") == []
    assert started.export() != before
    started.ctl("apply", "-f", started.dir / "export.toml")
    assert without_comments(started.export()) == without_comments(before)
    assert started.get("/v1/services/web/rows") == rows
    started.wait_resolved()
    assert traffic.who(bed, place.VIP4_NAT, 80) in ("b2", "b3")
    again = started.ctl("apply", "-f", started.dir / "export.toml")
    assert "no change" in again.stdout


def test_the_export_is_a_configuration_that_lbd_accepts(bed, started):
    """Export: `lbd --check` takes it, and a first start from it gives the same export."""
    text = started.export()
    started.config.write_text(text)
    checked = bed.run("lb", *started.command("--check"), check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_foreign_program_is_not_replaced(bed, balancer):
    """Start: an interface that carries somebody else's XDP program is an error that names it; the program stays."""
    foreign = ("obj", bed.run_dir / "xdp_pass.bpf.o", "sec", "xdp")
    beds.run("ip", "-n", bed.ns("lb"), "link", "set", "dev", "l0", "xdpdrv", *foreign)
    try:
        balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
        assert re.search(r"l0", balancer.refuse())
        assert daemon.attached(bed) == {"l0": "native"}
    finally:
        beds.run("ip", "-n", bed.ns("lb"), "link", "set", "dev", "l0", "xdpdrv", "off")


def test_generic_mode_is_visible(bed, balancer):
    """Start: attached generic on request, status says so, and traffic passes."""
    for interface in bed.interfaces:
        bed.run("lb", "ethtool", "-K", interface, "gro", "off", "tso", "off", "gso", "off")
    balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)], extra='attach = "generic"')
    balancer.start().wait_resolved()
    assert {entry["attached"] for entry in balancer.get("/v1/status")["interfaces"]} == {"generic"}
    assert set(daemon.attached(bed).values()) == {"generic"}
    assert {traffic.who(bed, place.VIP4_NAT, 80) for _ in range(30)} == {"b1", "b2", "b3"}


def test_the_attach_mode_changes_with_a_restart(bed, balancer):
    """Another `attach` in the file takes effect at the next start, on every interface."""
    services = [daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080)]
    balancer.configure(services).start().wait_resolved().terminate()
    for attach, wanted in (("generic", "generic"), ("native", "native")):
        balancer.configure(services, extra=f'attach = "{attach}"').start().wait_resolved()
        modes = {interface["attached"] for interface in balancer.get("/v1/status")["interfaces"]}
        balancer.terminate()
        assert modes == {wanted}


def test_a_second_lbd_on_the_same_pins_is_refused(bed, started):
    """Errors: another socket and state directory do not make a second daemon for one fast path."""
    second = daemon.Balancer(bed, "second")
    second.config = started.config
    assert "another lbd runs the fast path" in second.refuse()
    assert "another lbd runs the fast path" in second.refuse("--detach")
    assert traffic.who(bed, place.VIP4_NAT, 80) in ("b1", "b2", "b3")


def test_detach_leaves_foreign_directories_alone(balancer):
    """Errors: --detach removes Weir's pins and nothing that is not."""
    foreign = balancer.dir / "foreign"
    (foreign / "kept").mkdir(parents=True)
    balancer.pin_dir = foreign
    assert "nothing was removed" in balancer.refuse("--detach")
    assert (foreign / "kept").is_dir()

# SPDX-License-Identifier: Apache-2.0
"""What operators get wrong: one message that names the thing, a non-zero exit, and nothing changed."""

import re

import pytest

import bed as beds
import daemon
import layout as place
import traffic
from conftest import running


@pytest.fixture(scope="module")
def live(bed):
    """An lbd with one service that every mistake has to leave as it is."""
    for balancer in running(bed):
        balancer.configure([daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080),
                            daemon.service(bed, "web6", place.VIP6_NAT, 80, "nat", 8080)])
        balancer.start().wait_resolved()
        yield balancer


@pytest.fixture(autouse=True)
def nothing_changes(request):
    """Holds around each test that uses `live`: the export before and after is the same, and the VIP still answers."""
    if "live" not in request.fixturenames:
        yield
        return
    balancer = request.getfixturevalue("live")
    before = balancer.export()
    yield
    assert balancer.export() == before
    assert traffic.who(balancer.bed, place.VIP4_NAT, 80) in ("b1", "b2", "b3")


def refused(balancer, *words, code: int = 1) -> str:
    """The one line that a failing lbctl says on stderr."""
    done = balancer.ctl(*words, check=False)
    assert done.returncode == code, f"exit {done.returncode}, wanted {code}: {done.stdout}{done.stderr}"
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, f"wanted one line: {done.stderr}"
    return done.stderr


def apply(balancer, text: str, code: int = 1) -> str:
    path = balancer.dir / "wrong.toml"
    path.write_text(text)
    return refused(balancer, "apply", "-f", path, code=code)


def one_backend(bed, line: str) -> str:
    """A configuration whose only [[service.backend]] has these lines instead of its own."""
    services = [daemon.Service("web", f"tcp:{place.VIP4_NAT}:80", "nat", [("b1", "198.51.100.11:8080")])]
    text = daemon.config_text(bed, services)
    return text.replace('  address = "198.51.100.11:8080"\n', line)


def test_a_backend_on_no_route(live):
    """Errors: an address that no route leads to is refused, naming it."""
    said = refused(live, "backend", "add", "web", "100.100.100.100:80", code=5)
    assert "100.100.100.100" in said and "route" in said


def test_a_backend_that_does_not_answer_arp(live):
    """Errors: an address on a connected network where nobody is, is refused, naming address and interface."""
    said = refused(live, "backend", "add", "web", "198.51.100.50:80", code=5)
    assert "198.51.100.50" in said and "l1" in said


def test_an_ipv6_backend_that_does_not_answer(live):
    """Errors: the same for IPv6."""
    said = refused(live, "backend", "add", "web6", "[2001:db8:b:1::50]:8080", code=5)
    assert "2001:db8:b:1::50" in said and "l1" in said


def test_a_vip_that_is_claimed_twice(live):
    """Errors: a second service at a VIP is a conflict that names the first."""
    said = refused(live, "service", "add", "second", "--vip", f"tcp:{place.VIP4_NAT}:80", "--mode", "nat")
    assert "web" in said and f"{place.VIP4_NAT}:80" in said


def test_a_vip_that_is_claimed_twice_in_a_file(live):
    """Errors: the same in a file, with line and column."""
    twice = [daemon.Service(name, f"tcp:{place.VIP4_NAT}:80", "nat", [(name, f"198.51.100.11:{port}")])
             for name, port in (("one", 81), ("two", 82))]
    said = apply(live, daemon.config_text(live.bed, twice))
    assert "one" in said and "two" in said or f"{place.VIP4_NAT}:80" in said


def test_a_nat_backend_that_two_services_share(live):
    """Errors: the answers of a nat backend could not be told apart, so it is a conflict."""
    two = [daemon.Service(name, f"tcp:{place.VIP4_NAT}:{port}", "nat", [("b1", "198.51.100.11:8080")])
           for name, port in (("one", 81), ("two", 82))]
    said = apply(live, daemon.config_text(live.bed, two))
    assert "198.51.100.11:8080" in said


@pytest.mark.parametrize("line, wanted", [
    ('  address = "198.51.100.11:0"\n', r'wrong\.toml:\d+:\d+: .*port "?0'),
    ('  address = "198.51.100.11:8080"\n  weight = -1\n', r"wrong\.toml:\d+:\d+: .*weight -1"),
    ('  address = "198.51.100.11:8080"\n  wieght = 1\n', r"wrong\.toml:\d+:\d+: .*wieght.*weight"),
    ('  address = "198.51.100.11"\n', r"wrong\.toml:\d+:\d+: .*198\.51\.100\.11"),
    ('  address = "198.51.100.11:8080"\n  weight = "much"\n', r"wrong\.toml:\d+:\d+: .*weight"),
    ('  address = "2001:db8:b:1::11:8080"\n', r"wrong\.toml:\d+:\d+: .*2001:db8"),
], ids=["port 0", "weight -1", "misspelt key", "no port", "weight not a number", "IPv6 without brackets"])
def test_a_wrong_line_in_a_file(live, line, wanted):
    """Errors: file, line, column, and the value that is wrong."""
    said = apply(live, one_backend(live.bed, line))
    assert re.search(wanted, said), said


def test_wrong_values_on_the_command_line(live):
    """Errors: 100 rows, port 0, weight -1 and weight 65536 given to lbctl."""
    said = refused(live, "service", "add", "x", "--vip", f"tcp:{place.VIP4_NAT}:99", "--mode", "nat", "--rows", "100")
    assert "100" in said and "power of two" in said
    assert re.search('port "?0', refused(live, "backend", "add", "web", "198.51.100.11:0"))
    done = live.ctl("backend", "set", "web/b1", "--weight", "-1", check=False)
    assert done.returncode in (1, 2) and "-1" in done.stderr
    done = live.ctl("backend", "set", "web/b1", "--weight", "65536", check=False)
    assert done.returncode in (1, 2) and "65536" in done.stderr


def test_names_that_do_not_exist(live):
    """Errors: an absent service or backend is not_found, by name."""
    assert "nope" in refused(live, "service", "del", "nope")
    assert "nope" in refused(live, "backend", "del", "web/nope")
    assert "nope" in refused(live, "backend", "drain", "nope/b1")


def test_the_last_backend_stays_without_force(live):
    """Errors: a change that leaves a service without a usable backend needs --force (exit 5)."""
    alone = [daemon.Service("web", f"tcp:{place.VIP4_NAT}:80", "nat", [("b1", "198.51.100.11:8080", 0)])]
    said = apply(live, daemon.config_text(live.bed, alone), code=5)
    assert "web" in said and "--force" in said
    said = apply(live, daemon.config_text(live.bed, []), code=5)
    assert "--force" in said


def test_seventy_thousand_backends(live):
    """Errors: more backends than the limit allows, said with both numbers."""
    backends = [(f"b{i}", f"198.51.100.11:{i % 65535 + 1}") for i in range(65535)]
    backends += [(f"c{i}", f"198.51.100.75:{i + 1}") for i in range(70000 - 65535)]
    many = [daemon.Service("web", f"tcp:{place.VIP4_NAT}:80", "nat", backends)]
    said = apply(live, daemon.config_text(live.bed, many))
    assert re.search(r"70.?000", said) and re.search(r"65.?536", said), said


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_file(live, part):
    """Errors: a configuration cut off in the middle, by lbctl and by `lbd --check`."""
    text = daemon.config_text(live.bed, [daemon.service(live.bed, "web", place.VIP4_NAT, 80, "nat", 8080)])
    cut = text[:int(len(text) * part)].rstrip()
    cut = cut[:cut.rindex('"')] if cut.endswith('"') else cut + ' = "x'  # ends inside a string
    assert re.search(r"wrong\.toml:\d+:\d+: ", apply(live, cut))
    checked = live.bed.run("lb", daemon.LBD, "--check", "--config", live.dir / "wrong.toml", check=False)
    assert checked.returncode == 1 and re.search(r"wrong\.toml:\d+:\d+: ", checked.stderr)


def test_no_daemon(live):
    """Errors: lbctl without lbd says which socket it tried, exit 4."""
    done = beds.run(daemon.LBCTL, "--socket", live.dir / "absent.sock", "status", check=False)
    assert done.returncode == 4 and "absent.sock" in done.stderr


def test_a_second_lbd_on_the_same_socket(bed, live):
    """Errors: the socket of a running lbd is not taken over; the second one says so and changes nothing."""
    said = live.refuse()
    assert str(live.socket) in said
    assert live.get("/v1/status")["pid"] == live.process.pid

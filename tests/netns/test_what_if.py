# SPDX-License-Identifier: Apache-2.0
"""N2: what diff and --dry-run foretell is what happens: rows, flows, and 0 where 0 is said."""

import pytest

import consistency
import daemon
import layout as place
import servers
from consistency import echo_service, owners
from keeping import Echo, Keep, describe

KEPT, RESET, UNTRACKED, WEIGHED = range(7301, 7305)


@pytest.fixture(scope="module")
def echo(bed):
    with Echo(bed, None, f"{KEPT}-{WEIGHED}") as made:
        yield made


def services(bed, hosts=consistency.HOSTS) -> list:
    return [echo_service(bed, "kept", KEPT, hosts, track="all"),
            echo_service(bed, "reset", RESET, hosts, track="all", on_remove="reset"),
            echo_service(bed, "untracked", UNTRACKED, hosts, on_remove="reset"),
            echo_service(bed, "weighed", WEIGHED, track="all", on_remove="reset")]


@pytest.fixture(scope="module")
def balancer(bed, echo):
    with consistency.started(bed, services(bed)) as made:
        yield made


def effects(document) -> dict:
    return {effect["service"]: effect for effect in document["effects"]}


def test_a_change_moves_the_rows_and_breaks_the_flows_that_diff_foretold(bed, balancer, record_property):
    """A file without b2: rows that move, flows that break, to the last one: as foretold; nothing moved by asking."""
    file = balancer.dir / "next.toml"
    file.write_text(daemon.config_text(bed, services(bed, ("b1", "b3", "b4"))))
    with Keep(bed, place.VIP4_NAT, KEPT, 300) as kept, Keep(bed, place.VIP4_NAT, RESET, 300) as reset:
        kept.settled(), reset.settled()
        before = {name: owners(balancer, name) for name in ("kept", "reset", "untracked")}
        text = balancer.ctl("diff", "-f", file).stdout
        foretold = effects(balancer.change("POST", "/v1/diff", file.read_text()))
        assert effects(balancer.change("POST", "/v1/apply?dry-run=true", file.read_text())) == foretold
        assert text.splitlines()[-len(foretold):] == \
            balancer.ctl("apply", "-f", file, "--dry-run").stdout.splitlines()[-len(foretold):]
        assert {name: owners(balancer, name) for name in before} == before, "asking has changed something"
        moved_before = {name: consistency.metric(balancer, "weir_table_slots_moved_total", service=name)
                        for name in before}

        balancer.ctl("apply", "-f", file)
        balancer.wait_resolved()
        for name, old in before.items():
            moved = sum(one != two for one, two in zip(old, owners(balancer, name)))
            assert foretold[name]["rows_moved"] == moved > 0 and foretold[name]["rows"] == len(old)
            counted = consistency.metric(balancer, "weir_table_slots_moved_total", service=name)
            assert counted - moved_before[name] == moved
        lost = foretold["reset"]["flows_affected"]
        report = servers.wait_for(lambda: (r := reset.report())["broken"] >= lost and r, 5, "the foretold have broken")
        report = reset.settled()
        assert (foretold["reset"]["flows_known"], foretold["kept"]["flows_known"]) == (300, 300)
        assert report["broken"] == lost == report["by_backend"]["b2"]["broken"] > 0, describe(report)
        assert foretold["kept"]["flows_affected"] == 0 and kept.settled()["broken"] == 0
        assert (foretold["kept"]["complete"], foretold["reset"]["complete"], foretold["untracked"]["complete"]) == \
            (True, True, False)
        assert f"affects {lost} of 300 known flows" in text
        record_property("figure", f"N2: {text.strip()}")


def test_a_harmless_change_is_said_to_affect_no_flow_and_does_not(bed, balancer):
    """A weight: rows move, 0 of 300 flows are affected, foretold by --dry-run, and by what happens."""
    path, body = "/v1/services/weighed/backends/b2", {"weight": 50}
    with Keep(bed, place.VIP4_NAT, WEIGHED, 300) as weighed:
        weighed.settled()
        before = owners(balancer, "weighed")
        foretold = effects(balancer.change("PATCH", f"{path}?dry-run=true", body))["weighed"]
        assert (foretold["flows_affected"], foretold["flows_known"], foretold["complete"]) == (0, 300, True)
        balancer.change("PATCH", path, body)
        assert foretold["rows_moved"] == sum(a != b for a, b in zip(before, owners(balancer, "weighed"))) > 0
        assert foretold["share"] == pytest.approx(foretold["rows_moved"] / len(before), abs=1e-6)
        assert weighed.settled()["broken"] == 0


def test_what_could_break_flows_that_nobody_remembers_is_refused(bed, balancer):
    """Fewer rows, another hash: exit 5 with the way out, and nothing has changed; more rows are no matter."""
    before = owners(balancer, "untracked")
    for words in (("--rows", "256"), ("--hash", "source")):
        said = balancer.ctl("service", "set", "untracked", *words, check=False)
        assert (said.returncode, said.stdout) == (5, "") and 'track = "all"' in said.stderr, said
        assert "--force" in said.stderr and owners(balancer, "untracked") == before
    balancer.ctl("service", "set", "untracked", "--rows", str(2 * len(before)))
    balancer.ctl("service", "set", "untracked", "--rows", "256", "--force")
    assert len(owners(balancer, "untracked")) == 256

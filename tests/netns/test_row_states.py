# SPDX-License-Identifier: Apache-2.0
"""The life of rows, as flows and operators make it: moving, pinned, settled."""

import pytest

import consistency
import layout as place
import servers
from consistency import add, echo_service, owners, rows
from keeping import Echo, Keep, describe

AGED, TAKEN_BACK = 7020, 7021
SETTLE = 2  # seconds: the window


@pytest.fixture(scope="module")
def balancer(bed):
    services = [echo_service(bed, name, port, settle=f"{SETTLE}s", idle_closing="1s")
                for name, port in (("aged", AGED), ("back", TAKEN_BACK))]
    with Echo(bed, None, f"{AGED}-{TAKEN_BACK}"), consistency.started(bed, services) as made:
        yield made


def test_rows_settle_when_the_window_is_over_and_the_flows_have_ended(balancer):
    """A row's life: moving for the window, pinned while its flows live, settled when they have ended; 0 broken; the
    table is empty again."""
    bed = balancer.bed
    with Keep(bed, place.VIP4_NAT, AGED, 300) as watched:
        add(balancer, "aged", "b4", AGED)
        moved = rows(balancer)["moving"]
        assert moved > 0
        servers.wait_for(lambda: rows(balancer)["moving"] == 0, SETTLE + 5, "the window is over")
        pinned = rows(balancer)["pinned"]
        assert 0 < pinned <= moved, "rows with living flows of an earlier owner are pinned"
        assert watched.settled()["broken"] == 0
        watched.ask("close", 300)
        report = servers.wait_for(lambda: not (r := watched.report())["open"] + r["closing"] and r, 5, "all have ended")
        assert report["ended"] == 300, describe(report)
        servers.wait_for(lambda: rows(balancer)["pinned"] == 0, 10, "the rows have settled")
    servers.wait_for(lambda: consistency.flows(balancer, service="aged") == 0, 10, "no flow is remembered")


def test_a_change_taken_back_leaves_nothing_moving(balancer):
    """b4 comes and goes in one breath: flows of both worlds live on with the backend that they began with."""
    bed = balancer.bed
    with Keep(bed, place.VIP4_NAT, TAKEN_BACK, 200) as old:
        before = owners(balancer, "back")
        balancer.ctl("backend", "drain", "back/b3")
        with Keep(bed, place.VIP4_NAT, TAKEN_BACK, 200) as new:
            assert new.on("b3")["open"] == 0
            balancer.ctl("backend", "undrain", "back/b3")
            assert owners(balancer, "back") == before
            assert (old.settled()["broken"], new.settled()["broken"]) == (0, 0)

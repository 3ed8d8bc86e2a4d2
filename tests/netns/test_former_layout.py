# SPDX-License-Identifier: Apache-2.0
"""An upgrade from a program whose tables have another layout: they are taken over, and no flow notices."""

import time

import consistency
import daemon
import layout as place
from consistency import echo_service, expect
from keeping import PORT, Echo, Keep

FLOWS = 200


def go_back(balancer, *version) -> str:
    """Puts a program of a former layout in the place of the one that runs; lbd is not there meanwhile."""
    command = [daemon.BUILD / "tests/upgrade/former", balancer.bed.pin_dir, *version]
    return balancer.bed.run("lb", *map(str, command)).stdout


def test_tables_of_a_former_layout_are_taken_over_and_no_flow_breaks(bed):
    """Moving rows, flows older and younger than the move: kill, former program, new lbd. Rows, ids, counters stay."""
    with Echo(bed), consistency.started(bed, [echo_service(bed, "keep")]) as balancer:
        with Keep(bed, place.VIP4_NAT, PORT, FLOWS) as old:
            consistency.add(balancer, "keep", "b4")
            with Keep(bed, place.VIP4_NAT, PORT, FLOWS) as young:
                time.sleep(0.6)
                owners = consistency.owners(balancer, "keep")
                rows = consistency.rows(balancer)
                assert rows["moving"] > 0
                links = daemon.pinned_ids(bed.pin_dir)["link"]
                packets = balancer.verdicts()
                balancer.kill()
                assert "layout version 2" in go_back(balancer)
                time.sleep(0.6)
                balancer.start()
                assert "took over tables of layout version 2" in balancer.log.read_text()
                balancer.wait_resolved()
                time.sleep(0.6)
                assert consistency.owners(balancer, "keep") == owners
                assert consistency.rows(balancer) == rows
                assert daemon.pinned_ids(bed.pin_dir)["link"] == links
                after = balancer.verdicts()
                assert all(after[name] >= count for name, count in packets.items())
                expect("on", old.settled(), young.settled())
                # A second start finds nothing to take over.
                balancer.terminate()
                balancer.start()
                assert "took over tables" not in balancer.log.read_text()


def test_a_layout_too_old_to_take_over_is_refused_and_goes_on_forwarding(bed):
    with Echo(bed), consistency.started(bed, [echo_service(bed, "keep")]) as balancer:
        with Keep(bed, place.VIP4_NAT, PORT, 50) as kept:
            balancer.kill()
            go_back(balancer, "1")
            assert "layout version 1, which this lbd cannot take over (it takes 2 to" in balancer.refuse()
            time.sleep(0.6)
            expect("on", kept.settled())

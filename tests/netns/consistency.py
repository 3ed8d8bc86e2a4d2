# SPDX-License-Identifier: Apache-2.0
"""What the tests of unbroken connections share: an lbd whose protection is on or off, and services over keep's echo."""

import contextlib
import json

import pytest

import daemon
import keeping
import layout as place
from conftest import running

HOSTS = ("b1", "b2", "b3")
# With it lbd writes settled rows only, as a balancer without memory does: each test's control run.
WITHOUT_MEMORY = {"WEIR_TEST_STATELESS": "1"}
protection = pytest.mark.parametrize("protection", ["on", "off"], scope="module")


def echo_service(bed, name: str, port: int = keeping.PORT, hosts=HOSTS, vip: str = place.VIP4_NAT, mode: str = "nat",
                 protocol: str = "tcp", rows: int = 4096, **settings) -> daemon.Service:
    """A service at VIP:port over keep's echo on the same port; settings as in the file, on_remove="keep"."""
    return daemon.service(bed, name, vip, port, mode, hosts=hosts, protocol=protocol, rows=rows,
                          settings={key.replace("_", "-"): value for key, value in settings.items()})


@contextlib.contextmanager
def started(bed, services, protection: str = "on", host: str = "lb", **keywords):
    """An lbd with these services on the bed, ready, and nothing of it afterwards."""
    with contextlib.contextmanager(running)(bed, host) as balancer:
        balancer.environment = {} if protection == "on" else WITHOUT_MEMORY
        yield balancer.configure(services, **keywords).start().wait_resolved()


def expect(protection: str, *reports) -> None:
    """No connection of these reports is broken; in the control run some are."""
    broken = sum(report["broken"] for report in reports)
    if protection == "on":
        assert broken == 0, "\n".join(map(keeping.describe, reports))
    else:
        assert broken > 0, "the control: nothing breaks without protection either, so the test shows nothing"


def add(balancer, service: str, host: str, port: int = keeping.PORT) -> None:
    """Adds that host's echo to the service and waits for its next hop."""
    backends = balancer.backends(service).values()
    family = 6 if any("[" in backend["address"] for backend in backends) else 4
    address = place.endpoint(balancer.bed.backend(host).address(family), port)
    balancer.ctl("backend", "add", service, address, "--name", host)
    balancer.wait_resolved()


def rows(balancer) -> dict:
    """{"moving": n, "pinned": n} of all services."""
    flows = balancer.get("/v1/status")["flows"]
    return {"moving": flows["rows_moving"], "pinned": flows["rows_pinned"]}


def owners(balancer, service: str) -> list:
    """The name of each row's current owner, None where it has none."""
    document = balancer.get(f"/v1/services/{service}/rows")
    return [None if index < 0 else document["backends"][index] for index in document["table"]]


def flows(balancer, **query) -> int:
    """Flows that the flow table holds: of a service, of a backend ..., as /v1/conns/count takes them."""
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return balancer.get(f"/v1/conns/count?{words}")["count"]


def conns(balancer, **query) -> list:
    """The same flows one by one."""
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return [json.loads(line) for line in balancer.get(f"/v1/conns?{words}").splitlines()]


def metric(balancer, name: str, **labels) -> float:
    """The sum of a metric's samples that carry these labels."""
    total = 0.0
    for line in balancer.get("/metrics").splitlines():
        if line.partition("{")[0].partition(" ")[0] == name and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total

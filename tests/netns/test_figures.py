# SPDX-License-Identifier: Apache-2.0
"""Counters that are exact, and what lbd costs: memory, and time per change, with 100 services x 100 backends."""

import contextlib
import pathlib
import re
import statistics
import subprocess
import time

import pytest

import daemon
import layout as place
import timing
import traffic

HOSTS = ("b1", "b2", "b3")


def counted(balancer, service: str) -> dict:
    return {b["name"]: b for b in balancer.get("/v1/stats")["backends"] if b["service"] == service}


@pytest.mark.parametrize("mode, vip, port", [("nat", place.VIP4_NAT, 8080), ("l2dsr", place.VIP4_DSR, 80),
                                             ("nat", place.VIP6_NAT, 8080)])
def test_counters_are_what_tcpdump_counts(bed, balancer, mode, vip, port):
    """M27: packets and bytes per backend, both directions, equal the frames that each backend got and sent, exactly."""
    balancer.configure([daemon.service(bed, "web", vip, 80, mode, port)])
    balancer.start().wait_resolved()
    with contextlib.ExitStack() as stack:
        taps = {h: stack.enter_context(traffic.Capture(bed, h, "b0", f"tcp port {port}")) for h in HOSTS}
        for _ in range(60):
            traffic.who(bed, vip, 80)
        time.sleep(0.2)
    stats = counted(balancer, "web")
    seen = {host: (tap.count(f"dst port {port}"), tap.count(f"src port {port}")) for host, tap in taps.items()}
    assert {host: (stats[host]["packets"], stats[host]["return_packets"]) for host in HOSTS} == seen
    assert all(got > 0 for got, _ in seen.values())
    assert {h: (stats[h]["bytes"], stats[h]["return_bytes"]) for h in HOSTS} == \
        {h: (tap.bytes(f"dst port {port}"), tap.bytes(f"src port {port}")) for h, tap in taps.items()}
    assert sum(s["connections"] for s in stats.values()) == 60

    (service,) = balancer.get("/v1/stats")["services"]
    assert service["packets"] == sum(got for got, _ in seen.values())
    text = balancer.get("/metrics")
    assert str(service["packets"]) in re.findall(r"^weir_\S+ (\d+)$", text, re.MULTILINE)


def test_metrics_of_a_thousand_backends_come_within_50_ms(bed, balancer, record_property):
    """M27: a scrape with 1000 backends, by the API socket and by the metrics port: every one under 50 ms."""
    backends = [(f"n{i}", f"{bed.backend(HOSTS[i % 3]).v4}:{10000 + i}") for i in range(1000)]
    balancer.configure([daemon.Service("web", f"tcp:{place.VIP4_NAT}:80", "nat", backends)],
                       extra='metrics-listen = "127.0.0.1:9464"')
    balancer.start().wait_resolved()
    took = []
    for _ in range(10):
        with timing.undisturbed(balancer.process.pid):
            start = time.monotonic()
            text = balancer.get("/metrics")
            took.append(time.monotonic() - start)
    assert all(f'"n{i}"' in text for i in range(1000))
    scraped = bed.run("lb", "curl", "-sS", "--max-time", "5", "-w", "%{time_total}", "-o", "/dev/null",
                      "http://127.0.0.1:9464/metrics")
    record_property("figure", f"/metrics with 1000 backends: median {statistics.median(took) * 1000:.1f} ms, "
                    f"{len(text) // 1024} KiB; over TCP {float(scraped.stdout) * 1000:.1f} ms")
    assert max(took) < 0.050 and float(scraped.stdout) < 0.050


def resident_without_tables(pid: int) -> int:
    """KiB of the process in memory, the mapped BPF tables left out: they are the kernel's memory, shared, shown as
    mappings of an anonymous inode named bpf-map."""
    total, is_table = 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_table = "bpf-map" in line
        elif line.startswith("Rss:") and not is_table:
            total += int(line.split()[1])
    return total


@pytest.mark.limit(120)
def test_a_hundred_services_of_a_hundred_backends(bed, balancer, memory_state, record_property):
    """Memory and time: under 64 MiB without the tables; adding a backend takes a few milliseconds, lbctl included."""
    def endpoints(service):
        return [(f"n{i}", f"{bed.backend(HOSTS[i % 3]).v4}:{10000 + service * 100 + i}") for i in range(100)]

    balancer.configure([daemon.Service(f"s{i}", f"tcp:{place.VIP4_NAT}:{1000 + i}", "nat", endpoints(i))
                        for i in range(100)])
    start = time.monotonic()
    balancer.start(timeout=60).wait_resolved()
    ready = time.monotonic() - start
    b4 = bed.backend("b4").v4
    took = []
    for number in range(20):
        words = ("backend", "add", "s50", f"{b4}:{20000 + number}", "--name", f"x{number}")
        with timing.undisturbed(balancer.process.pid):
            begin = time.monotonic()
            subprocess.run([daemon.LBCTL, "--socket", balancer.socket, *words], check=True, stdout=subprocess.DEVNULL)
            took.append(time.monotonic() - begin)
    rows = balancer.backends("s50")
    assert all(rows[f"x{number}"]["rows"] > 300 for number in range(20))
    resident = resident_without_tables(balancer.process.pid)
    record_property("figure", f"100 services x 100 backends: ready after {ready:.2f} s, resident without tables "
                    f"{resident / 1024:.1f} MiB, adding a backend by lbctl: median "
                    f"{statistics.median(took) * 1000:.1f} ms of 20, longest {max(took) * 1000:.1f} ms")
    assert resident < 64 * 1024
    assert statistics.median(took) < 0.050

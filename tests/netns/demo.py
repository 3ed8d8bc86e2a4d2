# SPDX-License-Identifier: Apache-2.0
"""The story that scripts/demo tells: a bed, lbd on it, real HTTP through the VIPs, a backend added and one drained, and
connections that live through all that an operator does."""

import argparse
import contextlib
import os
import signal
import sys
import time

import bed as beds
import daemon
import keeping
import layout as place
import servers
import traffic

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
LOAD_SECONDS, ADD_AT, DRAIN_AT = 12, 4, 8
LASTING = 200  # connections


def say(text: str) -> None:
    print(f"\n{BOLD}== {text}{PLAIN}")


def show(balancer: daemon.Balancer, *words) -> None:
    """Prints an lbctl command as one would type it, and what it says."""
    print(f"$ lbctl {' '.join(words)}")
    done = balancer.ctl(*words, check=False)
    print((done.stdout + done.stderr).rstrip() + (f"\nexit {done.returncode}" if done.returncode else ""))


def spread(bed: beds.Bed, vip: str, requests: int) -> None:
    """Sends `requests` requests, each on a connection of its own, and prints how the backends shared them."""
    counts = {}
    for _ in range(requests):
        name = traffic.who(bed, vip, 80)
        counts[name] = counts.get(name, 0) + 1
    for name, count in sorted(counts.items()):
        print(f"  {name}  {count:4}  {'█' * (count * 120 // requests)}")


def load(bed: beds.Bed, balancer: daemon.Balancer) -> None:
    """Steady new connections while b4 joins and b1 drains; a line per second: who answered how many."""
    b4 = bed.backend("b4")
    print(f"  {'second':>6}  {'b1':>6} {'b2':>6} {'b3':>6} {'b4':>6}   {'failed':>6}   requests per backend, "
          "each on a new connection")
    wrk = traffic.Wrk(bed, traffic.url(place.VIP4_DSR, 80, "/quiet"), LOAD_SECONDS, connections=16)
    steps = {ADD_AT: ("backend", "add", "web", f"{b4.v4}:8080", "--name", "b4"),
             DRAIN_AT: ("backend", "drain", "web/b1")}
    with traffic.Loop(lambda: traffic.who(bed, place.VIP4_NAT, 80), pause=0.001) as loop:
        seen_results = seen_failures = 0
        for second in range(1, LOAD_SECONDS + 1):
            time.sleep(1)
            results, failures = len(loop.results), len(loop.failures)
            names = [name for _, _, name in loop.results[seen_results:results]]
            print(f"  {second:6}  " + " ".join(f"{names.count(f'b{i}'):6}" for i in range(1, 5))
                  + f"   {failures - seen_failures:6}")
            seen_results, seen_failures = results, failures
            if second in steps:
                show(balancer, *steps[second])
    outcome = wrk.result()
    print(f"\n  wrk, meanwhile, 16 kept connections through the l2dsr service: {outcome['requests']} requests, "
          f"{outcome['errors']} errors")
    if loop.failures:
        print(f"  {len(loop.failures)} new connections failed, the first with: {loop.failures[0][1]}")


def lasting(bed: beds.Bed, balancer: daemon.Balancer) -> None:
    """Long connections, each answered ten times a second, and after each act of an operator how many are broken."""
    b4 = bed.backend("b4")
    with keeping.Echo(bed), keeping.Keep(bed, place.VIP4_NAT, keeping.PORT, LASTING, interval=0.1) as keep:

        def check() -> None:
            report = keep.settled()
            spread_now = ", ".join(f"{host} {state['open']}" for host, state in sorted(report["by_backend"].items()))
            print(f"  -> {report['broken']} of {LASTING} broken; {spread_now}")

        check()
        for words in (("backend", "add", "echo", f"{b4.v4}:{keeping.PORT}", "--name", "b4"),
                      ("backend", "set", "echo/b3", "--weight", "10"),
                      ("backend", "drain", "echo/b1", "--wait", "--deadline", "3s"),
                      ("backend", "del", "echo/b2")):
            show(balancer, *words)
            check()
        print("$ kill -9 $(pidof lbd)   # and nobody starts it again for a second")
        balancer.kill()
        time.sleep(1)
        check()
        balancer.start().wait_resolved()
        print("lbd is back")
        check()
        show(balancer, "conn", "count", "--backend", "echo/b1")
        show(balancer, "backend", "undrain", "echo/b1")
        check()


def story(bed: beds.Bed, balancer: daemon.Balancer) -> None:
    say("The bed: network namespaces, veth links, real nginx")
    print(place.ROUTED_DRAWING, end="")

    say("lbd starts: configuration -> tables -> XDP program on five interfaces")
    balancer.configure([
        daemon.service(bed, "web", place.VIP4_NAT, 80, "nat", 8080),
        daemon.service(bed, "web6", place.VIP6_NAT, 80, "nat", 8080),
        daemon.service(bed, "echo", place.VIP4_NAT, keeping.PORT, "nat", keeping.PORT),
        daemon.service(bed, "direct", place.VIP4_DSR, 80, "l2dsr"),
        daemon.service(bed, "direct6", place.VIP6_DSR, 80, "l2dsr"),
    ])
    started = time.monotonic()
    balancer.start().wait_resolved()
    print(f"ready after {(time.monotonic() - started) * 1000:.0f} ms")
    show(balancer, "status")
    show(balancer, "service", "list")

    say("Real HTTP through the VIPs, IPv4 and IPv6")
    for vip in (place.VIP4_NAT, place.VIP6_NAT, place.VIP4_DSR, place.VIP6_DSR):
        target = traffic.url(vip, 80)
        print(f"$ curl {target:28} -> {traffic.curl(bed, target).strip()}")

    say(f"300 connections to {place.VIP4_NAT}: the spread")
    spread(bed, place.VIP4_NAT, 300)
    show(balancer, "trace", "tcp", f"{place.CLIENT4}:40000", f"{place.VIP4_NAT}:80", "--syn")

    say(f"Under load: b4 joins after {ADD_AT} s, b1 drains after {DRAIN_AT} s")
    load(bed, balancer)

    say(f"{LASTING} long connections, and what an operator does")
    lasting(bed, balancer)

    say("What lbctl has counted")
    show(balancer, "backend", "list", "web")
    show(balancer, "stats")


def tail(path) -> str:
    with contextlib.suppress(OSError):
        return "".join(f"  lbd.log: {line}\n" for line in path.read_text().splitlines()[-15:])
    return ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started this with SIGINT ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bed, keep = beds.Bed("weir"), False
    try:
        bed.up()
    except (beds.BedError, KeyboardInterrupt) as error:
        print(f"demo: {error or 'interrupted'}", file=sys.stderr)
        return 1
    balancer = daemon.Balancer(bed)
    try:
        servers.start_all(bed)
        story(bed, balancer)
        keep = options.keep
        say("Look around" if keep else "Look around (run scripts/demo --keep, and the bed stays)")
        print("  scripts/topo status\n  scripts/topo shell client        then: curl http://203.0.113.10/\n"
              "  scripts/topo shell lb            then: ip link; bpftool prog\n"
              f"  {os.path.relpath(daemon.LBCTL)} --socket {balancer.socket} status\n  scripts/topo down")
    except Exception as error:  # whatever it was: say it, show what lbd said, leave nothing behind
        print(f"\ndemo: failed: {error}\n{tail(balancer.log)}", file=sys.stderr, end="")
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    finally:
        if not keep:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not leave half a bed
            balancer.remove()
            bed.down()
            print("\ncleaned up")
    return 0


if __name__ == "__main__":
    sys.exit(main())

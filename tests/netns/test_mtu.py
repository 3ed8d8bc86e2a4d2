# SPDX-License-Identifier: Apache-2.0
"""Too long for the way ahead: Weir says so, from the VIP, with the MTU that fits; and SYNs can be made to ask less."""

import contextlib

import pytest

import traffic
import wire
from conftest import running
from daemon import TUNNEL
from tunnel_cases import DIRECT, HOSTS, NAMES, TUNNELS, WAYS, all_services


@pytest.fixture(scope="module", params=["routed", "switch"])
def ways(request):
    bed = request.getfixturevalue("bed" if request.param == "routed" else "switch_bed")
    with contextlib.contextmanager(running)(bed) as balancer:
        balancer.configure(all_services(bed), extra=TUNNEL)
        yield balancer.start().wait_resolved()


def segment(way, length: int):
    """A TCP segment of the client, an IP datagram of `length` bytes with DF set."""
    header = wire.network(way.client, way.vip, **({"flags": "DF"} if way.family == 4 else {}))
    packet = header / wire.TCP(sport=40000, dport=way.port, flags="A")
    return packet / (b"d" * (length - len(packet)))


@pytest.mark.parametrize("way", TUNNELS, **NAMES)
def test_a_datagram_too_long_for_the_tunnel_is_answered_with_the_mtu(ways, way):
    """M17: 1500 bytes with DF: one answer from the VIP, MTU 1500 less the outer headers, next fragment offset 0, right
    checksums, quoting the first 548 (IPv4) or 1232 (IPv6) bytes as they were; no backend gets any. One byte over is
    answered, a datagram that just fits is not."""
    limit, before = 1500 - way.overhead, ways.verdicts()
    with traffic.Captures(ways.bed, HOSTS, "b0", "greater 1400") as taps, wire.Station(ways.bed) as client, \
            traffic.Capture(ways.bed, "client", "c0", "icmp or icmp6") as tap:
        sent = client.frame(segment(way, 1500))
        client.send(sent, segment(way, limit + 1), segment(way, limit))
    assert sum(one.count() for one in taps.values()) == 1
    answers = [f for f in wire.packets(tap) if wire.layer3(f) and f.payload.src == way.vip]
    first, second = (wire.layer3(frame) for frame in answers)
    assert (answers[0].src, answers[0].dst) == (client.balancer_mac, client.mac)
    assert wire.mtus_told(tap) == {(limit, way.vip)}
    message = wire.icmp_message(first)
    wire.icmp_message(second)
    if way.family == 4:
        header = wire.IP(first[:20])
        assert (len(first), header.frag, str(header.flags), header.ttl, header.dst) == (576, 0, "DF", 64, way.client)
        assert message[4:6] == b"\0\0"  # unused
    else:
        header = wire.IPv6(first[:40])
        assert (len(first), header.hlim, header.dst) == (1280, 64, way.client)
    quoted = sent[14:14 + len(message) - 8]
    assert message[8:] == quoted
    after = ways.verdicts()
    assert after["answered_too_big"] - before["answered_too_big"] == 2
    assert after[f"forwarded_{way.mode}"] - before[f"forwarded_{way.mode}"] == 1


@pytest.mark.parametrize("way", DIRECT, **NAMES)
def test_a_full_frame_fits_where_nothing_is_put_in_front(ways, way):
    """nat and l2dsr forward 1500 bytes."""
    before = ways.verdicts()
    with wire.Station(ways.bed) as client:
        client.send(segment(way, 1500))
    after = ways.verdicts()
    assert after[f"forwarded_{way.mode}"] - before[f"forwarded_{way.mode}"] == 1
    assert after["answered_too_big"] == before["answered_too_big"]


@pytest.mark.parametrize("way", WAYS, **NAMES)
def test_service_show_says_mtu_and_mss(ways, way):
    """M17: `lbctl service show`: the longest datagram that reaches the backends, and the MSS that makes."""
    shown = ways.ctl_json("service", "show", way.name)
    mtu = 1500 - way.overhead
    assert (shown["mtu"], shown["mss"], shown["effective_mss"]) == (mtu, 0, mtu - (40 if way.family == 4 else 60))
    assert {backend["mtu"] for backend in shown["backends"]} == {mtu}
    text = ways.ctl("service", "show", way.name).stdout
    assert "MTU" in text and "MSS" in text and str(mtu) in text and str(shown["effective_mss"]) in text


def syn(way, port: int, mss: int):
    header = wire.network(way.client, way.vip)
    return header / wire.TCP(sport=port, dport=way.port, flags="S", options=[("NOP", None), ("MSS", mss)])


def announced(way, captures: dict, client_port: int, flags: str) -> set:
    """The MSS in the captured TCP segments with these flags and this port of the client, behind the way's outer
    headers; their checksums are verified."""
    found, ports = set(), {"S": "sport", "SA": "dport"}[flags]
    kind = wire.IP if way.family == 4 else wire.IPv6
    for frame in (frame for tap in captures.values() for frame in wire.packets(tap)):
        datagram = wire.layer3(frame)[way.overhead:]
        if len(datagram) < 40 or datagram[0] >> 4 != way.family:
            continue
        packet = kind(datagram)
        if wire.TCP not in packet or getattr(packet[wire.TCP], ports) != client_port:
            continue
        if str(packet[wire.TCP].flags) == flags:
            carried = packet[wire.TCP].chksum
            del packet[wire.TCP].chksum
            assert kind(bytes(packet))[wire.TCP].chksum == carried, f"wrong checksum: {datagram.hex()}"
            found.add(dict(packet[wire.TCP].options).get("MSS"))
    return found


def test_the_mss_of_a_syn_is_clamped_in_every_mode(bed, balancer):
    """M17: `mss = 1200`: a SYN that says 1460 says 1200 at the backend, its checksum right; one that says less stays.
    `lbctl service set --mss 0` ends it."""
    balancer.configure([s for way in WAYS for s in way.services(bed, ("tcp",), mss=1200)], extra=TUNNEL)
    balancer.start().wait_resolved()
    port = {way: 41000 + number for number, way in enumerate(WAYS)}
    with traffic.Captures(bed, HOSTS, "b0") as clamped, wire.Station(bed) as client:
        for way in WAYS:
            client.send(syn(way, port[way], 1460), syn(way, port[way], 1000))
    for way in WAYS:
        shown = balancer.ctl_json("service", "show", way.name)
        assert (shown["mss"], shown["effective_mss"]) == (1200, 1200)
        balancer.ctl("service", "set", way.name, "--mss", "0")
        assert balancer.ctl_json("service", "show", way.name)["mss"] == 0
    with traffic.Captures(bed, HOSTS, "b0") as free, wire.Station(bed) as client:
        client.send(*(syn(way, port[way], 1459) for way in WAYS))
    assert {way: announced(way, clamped, port[way], "S") for way in WAYS} == dict.fromkeys(WAYS, {1200, 1000})
    assert {way: announced(way, free, port[way], "S") for way in WAYS} == dict.fromkeys(WAYS, {1459})


@pytest.mark.parametrize("way", [way for way in DIRECT if way.mode == "nat"], **NAMES)
def test_the_mss_of_a_syn_ack_is_clamped_in_nat(bed, balancer, way):
    """M17: both ends of a real connection are told 1200, so no segment of a download is longer."""
    balancer.configure(way.services(bed, ("tcp",), mss=1200), extra=TUNNEL).start().wait_resolved()
    with traffic.Captures(bed, ("client",), "c0", "tcp") as taps:
        with traffic.connect(bed, way.vip, way.port, 42000) as connection:
            assert traffic.ask(connection) in HOSTS
        traffic.curl(bed, traffic.url(way.vip, way.port, "/small.bin"), "-f", "-o", "/dev/null")
    assert announced(way, taps, 42000, "SA") == {1200}
    headers = 40 if way.family == 4 else 60
    assert max(len(wire.layer3(frame)) for frame in wire.packets(taps["client"])) <= headers + 1200

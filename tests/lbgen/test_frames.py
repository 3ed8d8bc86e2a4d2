# SPDX-License-Identifier: Apache-2.0
"""Every byte of what arrives. Checksums and lengths are computed anew by scapy."""
import collections
import ipaddress
import itertools

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from bed import SPOIL, TO, VIP

FROM = {4: "198.18.0.0/15", 6: "2001:db8:5a::/48"}
SYN, ACK, DATA = "S", "A", "PA"


def parsed(frame):
    """(IP layer, transport layer) as scapy reads them."""
    packet = Ether(frame)
    network = packet[IP] if IP in packet else packet[IPv6]
    return network, network[TCP] if TCP in network else network[UDP]


def rebuilt(frame):
    """The frame with checksums and lengths computed by scapy."""
    packet = Ether(frame)
    for layer in (IP, IPv6, TCP, UDP):
        if layer in packet:
            for field in ("chksum", "len", "plen", "dataofs", "ihl"):
                if field in packet[layer].fields:
                    delattr(packet[layer], field)
    return bytes(packet)


def flow(frame):
    network, transport = parsed(frame)
    return network.src, transport.sport, type(transport).__name__


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("words", (
    ("--packets", 1000), ("--packets", 300, "--payload", 333), ("--packets", 300, "--udp", 100),
    ("--packets", 300, "--udp", 30, "--size", 1514), ("--packets", 500, "--flows", 50, "--payload", 1001, "--udp", 25),
    ("--packets", 300, "--order", "sequential"), ("--packets", 300, "--udp", 100, "--payload", 1)))
def test_every_checksum_and_length_is_what_scapy_computes(bed, family, words):
    frames = bed.captured(*words, "--rate", "20k", to=TO[family])
    assert len(frames) == words[1]
    for frame in frames:
        assert rebuilt(frame) == frame, Ether(frame).show(dump=True)
        network, transport = parsed(frame)
        assert (network.dst, transport.dport) == (VIP[family], 80)
        assert ipaddress.ip_address(network.src) in ipaddress.ip_network(FROM[family])
        assert transport.sport >= 1024 and len(frame) >= 60


@pytest.mark.parametrize("family", (4, 6))
def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones(bed, family):
    words = ("--packets", 1, "--udp", 100, "--order", "sequential")
    sum_of_80, = [parsed(frame)[1].chksum for frame in bed.captured(*words, to=TO[family])]
    # One's complement: raising a word of the datagram by the checksum leaves 0 of it.
    port = (80 + sum_of_80) % 65535 or 65535
    frame, = bed.captured(*words, to=TO[family].rpartition(":")[0] + f":{port}")
    assert parsed(frame)[1].chksum == 0xFFFF


def test_frames_are_whole_though_the_receiver_writes_over_their_memory(bed):
    frames = bed.captured("--packets", 1200, "--flows", 100, "--payload", 1000, "--udp", 20, "--rate", "20k",
                          source=SPOIL)
    assert len(frames) == 600
    assert [rebuilt(frame) == frame for frame in frames] == [True] * 600
    payloads = {bytes(parsed(frame)[1].payload) for frame in frames if len(frame) > 60}
    assert payloads == {bytes(i % 256 for i in range(1000))}
    lengths = {parsed(frame)[1].sprintf("{TCP:%TCP.flags%}{UDP:udp}"): len(frame) for frame in frames}
    assert lengths == {SYN: 60, ACK: 60, DATA: 1054, "udp": 1042}


@pytest.mark.parametrize("family", (4, 6))
def test_a_flood_is_of_syns_that_offer_a_segment_size_and_no_two_are_of_one_flow(bed, family):
    frames = bed.captured("--packets", 3000, "--rate", "20k", to=TO[family])
    segments = [parsed(frame)[1] for frame in frames]
    assert {str(segment.flags) for segment in segments} == {SYN}
    assert {tuple(segment.options) for segment in segments} == {(("MSS", 1460 if family == 4 else 1440),)}
    assert len({flow(frame) for frame in frames}) == 3000
    assert len({segment.seq for segment in segments}) > 2990
    assert {len(frame) for frame in frames} == {60 if family == 4 else 78}


@pytest.mark.parametrize("family", (4, 6))
def test_a_flow_is_a_syn_then_an_ack_then_data_whose_sequence_numbers_follow(bed, family):
    frames = bed.captured("--flows", 50, "--packets", 300, "--payload", 700, "--rate", "20k", to=TO[family])
    flows = collections.defaultdict(list)
    for frame in frames:
        flows[flow(frame)].append(parsed(frame)[1])
    assert len(flows) == 50
    assert [flow(frame) for frame in frames] == [flow(frame) for frame in frames[:50]] * 6
    for segments in flows.values():
        assert [str(s.flags) for s in segments] == [SYN, ACK, DATA, DATA, DATA, DATA]
        start = segments[0].seq
        assert [(s.seq - start) % 2**32 for s in segments] == [0, 1, 1, 701, 1401, 2101]
        assert [len(s.payload) for s in segments[2:]] == [700] * 4


def test_flows_without_payload_are_a_syn_and_then_acks(bed):
    frames = bed.captured("--flows", 10, "--packets", 40, "--rate", "20k")
    assert [str(parsed(frame)[1].flags) for frame in frames] == [SYN] * 10 + [ACK] * 30
    assert [flow(frame) for frame in frames] == [flow(frame) for frame in frames[:10]] * 4


def test_the_share_of_udp_flows_is_as_asked_and_a_flow_keeps_its_protocol(bed):
    frames = bed.captured("--flows", 1000, "--udp", 40, "--packets", 3000, "--rate", "20k")
    flows = [flow(frame) for frame in frames]
    assert len(set(flows)) == 1000 and flows == flows[:1000] * 3
    assert 370 <= sum(name == "UDP" for _, _, name in flows[:1000]) <= 430


@pytest.mark.parametrize("family,words", itertools.product((4, 6), (
    (), ("--flows", 100, "--payload", 100, "--udp", 20), ("--order", "sequential"))))
def test_a_seed_replays_the_same_frames_in_the_same_order(bed, family, words):
    line = ("--packets", 1000, "--rate", "20k", *words)
    first = bed.captured(*line, "--seed", 7, to=TO[family])
    assert len(first) == 1000
    assert bed.captured(*line, "--seed", 7, to=TO[family]) == first
    assert bed.captured(*line, "--seed", 8, to=TO[family]) != first


def test_the_seed_that_is_printed_replays_a_run_that_was_given_none(bed):
    with bed.program(SPOIL):
        one, error = bed.send("--packets", 10)
        other, _ = bed.send("--packets", 10)
    assert one["seed"] != other["seed"]
    assert f"lbgen: seed {one['seed']}\n" in error


def test_two_cpus_send_the_frames_that_one_sends(bed):
    line = ("--packets", 1000, "--rate", "20k", "--seed", 7)
    assert sorted(bed.captured(*line, "--cpus", 2)) == sorted(bed.captured(*line))


def test_of_two_cpus_each_has_flows_of_its_own_and_sends_them_in_order(bed):
    frames = bed.captured("--flows", 51, "--packets", 306, "--payload", 10, "--rate", "20k", "--cpus", 2)
    flows = collections.defaultdict(str)
    for frame in frames:
        flows[flow(frame)] += str(parsed(frame)[1].flags) + " "
    assert len(flows) == 51 and {line[:9] for line in flows.values()} == {"S A PA PA"}
    assert {len(line.split()) for line in flows.values()} <= {5, 6, 7}


def test_sequential_sources_are_the_prefix_in_order_then_the_next_port(bed):
    frames = bed.captured("--packets", 600, "--order", "sequential", "--from", "198.51.100.0/24", "--first-port", 2000,
                          "--rate", "20k")
    assert [flow(frame)[:2] for frame in frames] == [
        (f"198.51.100.{number % 256}", 2000 + number // 256) for number in range(600)]


def test_a_single_source_uses_ports_alone_and_each_once(bed):
    frames = bed.captured("--packets", 2000, "--from", "198.51.100.7/32", "--first-port", 30000, "--rate", "20k")
    assert {flow(frame)[0] for frame in frames} == {"198.51.100.7"}
    ports = {flow(frame)[1] for frame in frames}
    assert len(ports) == 2000 and min(ports) >= 30000 and max(ports) - min(ports) > 30000


def test_frames_go_to_the_next_hop_of_the_route_or_to_the_mac_that_is_named(bed):
    found = bed.captured("--packets", 5)
    assert {frame[:6].hex(":") for frame in found} == {bed.mac("receiver", "b0")}
    assert {frame[6:12].hex(":") for frame in found} == {bed.mac("sender", "c0")}
    assert {frame[:6].hex(":") for frame in bed.captured("--packets", 5, "--mac", "02:00:00:00:00:99")} == {
        "02:00:00:00:00:99"}

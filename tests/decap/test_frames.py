# SPDX-License-Identifier: Apache-2.0
"""Every verdict of bpf/decap_layout.hpp with bytes that scapy made."""
import itertools

import pytest
from scapy.all import ARP, Dot1Q, Ether, ICMP, IP, Raw, TCP, UDP, fragment

import tunnels
from tunnels import (CLIENT, DROP, NUMBER, OWN, PASS, STRANGER, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN,
                     frame, gue, inner, outer, udp, wrap)

BOTH = (4, 6)
KINDS = ("ipip", "gue0", "gue1")
UNWRAPPED = {"ipip": "unwrapped_ipip", "gue0": "unwrapped_gue", "gue1": "unwrapped_gue"}


@pytest.mark.parametrize("kind,around,family,tags", itertools.product(KINDS, BOTH, BOTH, (0, 1, 2)))
def test_inner_packet_comes_out_behind_ethernet_header_and_vlan_tags(program, kind, around, family, tags):
    packet = inner(family)
    verdict, action, out = program.send(frame(wrap(kind, around, packet, family), tags))
    assert (verdict, action) == (UNWRAPPED[kind], PASS)
    assert out == frame(packet, tags)


# RFC 6040, figure 4. Rows: inner mark; columns: outer Not-ECT, ECT(0), ECT(1), CE. None: dropped.
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
FIGURE_4 = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


@pytest.mark.parametrize("kind,around,family", itertools.product(("ipip", "gue0"), BOTH, BOTH))
def test_congestion_marks_come_out_as_in_figure_4_of_rfc_6040(program, kind, around, family):
    for inside, row in FIGURE_4.items():
        for outside, expected in row.items():
            verdict, action, out = program.send(frame(wrap(kind, around, inner(family, inside), family, outside)))
            if expected is None:
                assert (verdict, action) == ("ecn_conflict", DROP), (inside, outside)
            else:
                assert (verdict, action) == (UNWRAPPED[kind], PASS), (inside, outside)
                assert out == frame(inner(family, expected)), (inside, outside)


def test_a_wrong_inner_checksum_stays_wrong_when_the_mark_changes(program):
    broken = inner(4, ECT0, chksum=0x1234)
    verdict, _, out = program.send(frame(wrap("ipip", 4, broken, 4, CE)))
    assert verdict == "unwrapped_ipip"
    assert IP(out[14:]).chksum != IP(bytes(inner(4, CE))).chksum


def test_outer_options_and_extension_headers_are_removed(program):
    options = outer(4, 4, options=Raw(b"\x01" * 8)) / Raw(bytes(inner(4)))
    assert program.send(frame(options)) == ("unwrapped_ipip", PASS, frame(inner(4)))
    most = outer(4, 17, options=Raw(b"\x01" * 40)) / udp() / gue(6) / Raw(bytes(inner(6)))
    assert program.send(frame(most)) == ("unwrapped_gue", PASS, frame(inner(6)))
    limit = IPv6ExtHdrDestOpt(nh=41, options=[PadN(optdata=b"\0" * 4)])  # where Linux puts its encapsulation limit
    extended = outer(6, 60) / limit / Raw(bytes(inner(6)))
    assert program.send(frame(extended)) == ("unwrapped_ipip", PASS, frame(inner(6)))
    atomic = outer(6, 44) / IPv6ExtHdrFragment(nh=4, id=9) / Raw(bytes(inner(4)))
    assert program.send(frame(atomic)) == ("unwrapped_ipip", PASS, frame(inner(4)))


def test_bytes_behind_the_datagram_stay_behind_the_inner_packet(program):
    padding = b"\xaa" * 13
    wrapped = frame(wrap("gue0", 4, inner(4), 4)) + padding
    assert program.send(wrapped) == ("unwrapped_gue", PASS, frame(inner(4)) + padding)


def test_a_long_packet_comes_out_whole(program):
    long = inner(4) / Raw(bytes(range(256)) * 35)  # more than the first buffer of a frame holds
    assert program.send(frame(wrap("ipip", 6, long, 4))) == ("unwrapped_ipip", PASS, frame(long))


def test_a_gue_port_of_ones_own_replaces_6080():
    runner = tunnels.Runner("--from", "0.0.0.0/0", "--to", OWN[4], "--gue-port", "7000")
    try:
        packet = outer(4, 17) / udp(dport=7000) / gue(4) / Raw(bytes(inner(4)))
        assert runner.send(frame(packet))[0] == "unwrapped_gue"
        assert runner.send(frame(wrap("gue0", 4, inner(4), 4)))[0] == "not_tunnel"
    finally:
        runner.close()


def test_the_widest_prefix_of_one_family_allows_nothing_of_the_other():
    for family, all_of_it in ((4, "0.0.0.0/0"), (6, "::/0")):
        runner = tunnels.Runner("--from", all_of_it, "--to", *OWN.values())
        try:
            for around in BOTH:
                verdict = runner.send(frame(wrap("ipip", around, inner(4), 4)))[0]
                assert verdict == ("unwrapped_ipip" if around == family else "source_refused")
        finally:
            runner.close()


def test_an_ipv6_header_that_quotes_an_own_ipv4_address_is_not_to_it(program):
    packet = outer(6, 4, destination=f"::ffff:{OWN[4]}") / Raw(bytes(inner(4)))
    assert program.send(frame(packet))[0] == "not_own"


def changed(data, *changes):
    data = bytearray(data)
    for offset, value in changes:
        data[offset:offset + len(value)] = value
    return bytes(data)


def corrected(data):
    """`data`, an IPv4 frame without tags, with the header checksum that it ought to have."""
    header = IP(data[14:34])
    header.chksum = None
    return data[:14] + bytes(header)[:20] + data[34:]


LONG = Raw(bytes(inner(4)) * 3)
PIECES4 = [frame(bytes(p)) for p in fragment(outer(4, 4, flags=0) / LONG, fragsize=80)]
PIECES4_UDP = [frame(bytes(p)) for p in fragment(outer(4, 17, flags=0) / udp() / gue(4) / LONG, fragsize=80)]


def piece6(offset, more, next_header, content):
    return frame(outer(6, 44) / IPv6ExtHdrFragment(nh=next_header, offset=offset, m=more, id=5) / Raw(bytes(content)))


IPIP = {f: frame(wrap("ipip", f, inner(4), 4)) for f in BOTH}
GUE = {f: frame(wrap("gue0", f, inner(4), 4)) for f in BOTH}
HEADER = {4: 14 + 20, 6: 14 + 40}  # where what follows the outer IP header starts

# verdict, what is special, frame
CASES = [
    ("not_ip", "ARP", bytes(Ether(**tunnels.MAC) / ARP())),
    ("not_ip", "three VLAN tags", 
     bytes(Ether(**tunnels.MAC) / Dot1Q() / Dot1Q() / Dot1Q() / wrap("ipip", 4, inner(4), 4))),
    ("not_ip", "EtherType of something else", frame(wrap("ipip", 4, inner(4), 4), ether_type=0x9000)),
    ("not_unicast", "broadcast", changed(IPIP[4], (0, b"\xff" * 6))),
    ("not_unicast", "multicast", changed(IPIP[6], (0, b"\x33\x33"))),
    ("short_header", "IPv4 cut at byte 19", IPIP[4][:14 + 19]),
    ("short_header", "IPv6 cut at byte 39", IPIP[6][:14 + 39]),
    ("not_own", "IPv4, transit", frame(wrap("ipip", 4, inner(4), 4, destination="198.51.100.12"))),
    ("not_own", "IPv6, transit", frame(wrap("gue0", 6, inner(4), 4, destination="2001:db8:b::12"))),
    ("not_own", "direct to the VIP", frame(inner(4))),
    ("not_tunnel", "ssh, IPv4", frame(outer(4, 6) / TCP(dport=22))),
    ("not_tunnel", "ssh, IPv6", frame(outer(6, 6) / TCP(dport=22))),
    ("not_tunnel", "ping", frame(outer(4, 1) / ICMP())),
    ("not_tunnel", "another UDP port, from a stranger",
     frame(outer(4, 17, source=STRANGER[4]) / UDP(dport=53) / gue(4))),
    ("not_tunnel", "another UDP port, IPv6", frame(outer(6, 17) / UDP(dport=53) / gue(4))),
    ("not_tunnel", "UDP header cut", GUE[4][:HEADER[4] + 7]),
    ("not_tunnel", "later fragment of some UDP, IPv4", PIECES4_UDP[1]),
    ("not_tunnel", "later fragment of some UDP, IPv6", piece6(20, 0, 17, b"\x17\xc0" * 8)),
    ("not_tunnel", "extension header cut", frame(outer(6, 60, plen=8) / IPv6ExtHdrDestOpt(nh=41))[:14 + 44]),
    ("not_tunnel", "nine extension headers",
     frame(outer(6, 60) / Raw((b"\x3c\0" + b"\0" * 6) * 8 + b"\x29\0" + b"\0" * 6) / Raw(bytes(inner(6))))),
    ("not_tunnel", "no next header", frame(outer(6, 59))),
    *[("source_refused", f"{kind} over IPv{f}",
       frame(wrap(kind, f, inner(f), f, source=STRANGER[f])))
      for kind in KINDS for f in BOTH],
    ("source_refused", "a stranger's fragment", corrected(changed(PIECES4[0], (26, bytes([198, 19, 0, 1]))))),
    ("source_refused", "just below the prefix", frame(wrap("ipip", 4, inner(4), 4, source="198.17.255.255"))),
    ("bad_outer_header", "IPv4 version 5", corrected(changed(IPIP[4], (14, b"\x55")))),
    ("bad_outer_header", "IPv4 header of 16 bytes", changed(IPIP[4], (14, b"\x44"))),
    ("bad_outer_header", "IPv4 total length 19", changed(IPIP[4], (16, b"\0\x13"))),
    ("bad_outer_header", "IPv6 version 5", changed(IPIP[6], (14, b"\x50"))),
    ("bad_outer_checksum", "one bit", changed(IPIP[4], (24, bytes([IPIP[4][24] ^ 1])))),
    ("bad_outer_checksum", "GUE", frame(wrap("gue0", 4, inner(4), 4, chksum=0xdead))),
    ("outer_fragment", "first, IPv4", PIECES4[0]),
    ("outer_fragment", "later, IPv4", PIECES4[1]),
    ("outer_fragment", "first, GUE over IPv4", PIECES4_UDP[0]),
    ("outer_fragment", "first, IPv6", piece6(0, 1, 41, inner(6))),
    ("outer_fragment", "later, IPv6", piece6(20, 0, 41, inner(6))),
    ("outer_fragment", "first, GUE over IPv6", piece6(0, 1, 17, udp() / gue(6) / inner(6))),
    ("truncated", "one byte missing, IPv4", IPIP[4][:-1]),
    ("truncated", "one byte missing, IPv6", IPIP[6][:-1]),
    ("truncated", "IPv4 options beyond the frame", frame(outer(4, 4, ihl=15, len=60))),
    ("bad_udp_length", "length 11", frame(outer(4, 17) / udp(len=11) / gue(4) / Raw(bytes(inner(4))))),
    ("bad_udp_length", "length 0", frame(outer(6, 17) / udp(len=0) / gue(4) / Raw(bytes(inner(4))))),
    ("bad_udp_length", "one byte more than the datagram",
     frame(outer(4, 17) / udp(len=8 + 4 + len(inner(4)) + 1) / gue(4) / Raw(bytes(inner(4))))),
    *[("gue_unsupported", f"first byte {first:#x} over IPv{f}",
       frame(outer(f, 17) / udp() / gue(4, first) / Raw(bytes(inner(4)))))
      for f in BOTH for first in (0x01, 0x1f, 0x20, 0x50, 0x70, 0x80, 0xc0)],
    ("gue_unsupported", "flags", frame(outer(4, 17) / udp() / gue(4, flags=b"\0\1") / Raw(bytes(inner(4))))),
    ("gue_unsupported", "Ethernet inside", frame(outer(4, 17) / udp() / gue(4, protocol=143) / Raw(bytes(inner(4))))),
    *[("bad_inner_header", f"IPv{other} announced as IPv{f}", frame(outer(4, NUMBER[f]) / Raw(bytes(inner(other)))))
      for f, other in ((4, 6), (6, 4))],
    ("bad_inner_header", "IPv4 of 19 bytes", frame(outer(4, 4) / Raw(bytes(inner(4))[:19]))),
    ("bad_inner_header", "IPv6 of 39 bytes", frame(outer(4, 41) / Raw(bytes(inner(6))[:39]))),
    ("bad_inner_header", "nothing inside", frame(outer(6, 41))),
    ("bad_inner_header", "IPv4 header of 16 bytes", frame(wrap("gue0", 4, inner(4, ihl=4), 4))),
    ("bad_inner_header", "IPv4 total length below its header", frame(wrap("gue0", 6, inner(4, ihl=6, len=20), 4))),
    ("bad_inner_header", "IPv4 longer than its room", frame(wrap("ipip", 4, bytes(inner(4))[:-1], 4))),
    ("bad_inner_header", "IPv6 longer than its room", frame(wrap("gue1", 4, bytes(inner(6))[:-1], 6))),
    ("bad_inner_header", "IPv4 that would end in the padding behind the UDP datagram",
     frame(outer(4, 17) / udp(len=8 + 4 + len(inner(4)) - 1) / gue(4) / Raw(bytes(inner(4))))),
]
PASSED = {"not_ip", "not_unicast", "short_header", "not_own", "not_tunnel"}


@pytest.mark.parametrize("verdict,data", [pytest.param(v, d, id=f"{v}: {what}") for v, what, d in CASES])
def test_frame_has_its_verdict_and_is_not_touched(program, verdict, data):
    expected = (verdict, PASS if verdict in PASSED else DROP, data)
    assert program.send(data) == expected


def test_every_verdict_has_a_case():
    # The kernel refuses to move a frame's start only beyond its end, which the checks exclude.
    without = {"internal_move"}
    covered = {case[0] for case in CASES} | set(UNWRAPPED.values()) | {"ecn_conflict"}
    assert covered | without == set(tunnels.verdict_names())

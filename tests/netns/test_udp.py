# SPDX-License-Identifier: Apache-2.0
"""M20: UDP as DNS uses it: very many flows of one question each, and flows that move when their backend is removed."""

import contextlib
import select

import pytest

import servers
import traffic
import unwrap
from conftest import running
from daemon import TUNNEL
from tunnel_cases import HOSTS, NAMES, TUNNELS, Way

FLOWS, AT_ONCE = 10_000, 100  # at once: the queue of a veth holds 256 frames
CHOSEN = [Way("nat", 4, 4), Way("nat", 6, 6), Way("l2dsr", 4, 4), *(w for w in TUNNELS if w.family == 4)]


@pytest.fixture(scope="module")
def resolvers(bed):
    """An lbd with every way's UDP service, and servers that answer each datagram on every backend."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(unwrap.unwrapping(bed))
        balancer = stack.enter_context(contextlib.contextmanager(running)(bed))
        for port, address in {(way.udp_port, way.listen) for way in CHOSEN}:
            for host in HOSTS:
                stack.enter_context(contextlib.closing(servers.UdpEcho(bed, host, port, address)))
        balancer.configure([s for way in CHOSEN for s in way.services(bed, ("udp",))], extra=TUNNEL)
        yield balancer.start().wait_resolved()


def questions(sockets, text: bytes) -> dict:
    """Asks once on each socket, so many at a time; {socket: backend} of those that got an answer in time."""
    answers = {}
    for first in range(0, len(sockets), AT_ONCE):
        answers |= ask(sockets[first:first + AT_ONCE], text)
    return answers


def ask(sockets, text: bytes, seconds: float = 3) -> dict:
    poll, waiting, answers = select.poll(), {s.fileno(): s for s in sockets}, {}
    for one in sockets:
        poll.register(one, select.POLLIN)
        one.send(text)
    while waiting and (ready := poll.poll(seconds * 1000)):
        for descriptor, _ in ready:
            one = waiting.pop(descriptor)
            poll.unregister(descriptor)
            name, _, body = one.recv(512).partition(b":")
            assert body == text
            answers[one] = name.decode()
    return answers


@contextlib.contextmanager
def flows(bed, way, count: int):
    """Connected sockets of the client, each on a port of its own: an answer from anywhere but the VIP is not seen."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(traffic.datagram_socket(bed, way.family)) for _ in range(count)]
        for one in made:
            one.connect((way.vip, way.udp_port))
        yield made


def greet(bed, way) -> None:
    """Until the balancer knows the client as a neighbour: an answer to one that its kernel has forgotten is lost
    (`client_no_neighbor`), and nobody who asks by UDP here asks again."""
    with traffic.datagram_socket(bed, way.family) as one:
        one.connect((way.vip, way.udp_port))
        one.settimeout(0.3)

        def is_answered() -> bool:
            one.send(b"hello")
            with contextlib.suppress(TimeoutError):
                return one.recv(512).endswith(b":hello")
            return False

        servers.wait_for(is_answered, 5, "the client is a neighbour")


def test_ten_thousand_flows_are_answered(resolvers, record_property):
    """Each of 10 000 questions from as many ports gets its answer, and no backend has less than a quarter of them."""
    greet(resolvers.bed, CHOSEN[0])
    answered, way, before = [], CHOSEN[0], resolvers.verdicts()
    for _ in range(FLOWS // AT_ONCE):
        with flows(resolvers.bed, way, AT_ONCE) as sockets:
            answered += questions(sockets, b"who?").values()
    shares = {host: answered.count(host) for host in HOSTS}
    record_property("figure", f"10 000 UDP flows: {shares}")
    assert len(answered) == FLOWS and min(shares.values()) > FLOWS // 4
    after = resolvers.verdicts()
    assert (after["forwarded_nat"] - before["forwarded_nat"], after["returned_nat"] - before["returned_nat"]) == \
        (FLOWS, FLOWS)


@pytest.mark.parametrize("way", CHOSEN, **NAMES)
def test_flows_of_a_removed_backend_move_at_once_and_others_stay(resolvers, way):
    """300 open flows; a backend is removed: its flows' next datagrams are answered by others, not one is lost; every
    flow of the other backends stays. When it is added again, all flows stay where they are."""
    greet(resolvers.bed, way)
    name = f"{way.name}u"
    with flows(resolvers.bed, way, 300) as sockets:
        before = questions(sockets, b"before")
        assert len(before) == 300 and set(before.values()) == set(HOSTS)
        address = resolvers.backends(name)["b2"]["address"]
        resolvers.ctl("backend", "del", f"{name}/b2")
        after = questions(sockets, b"after")
        assert len(after) == 300 and set(after.values()) == {"b1", "b3"}
        assert [one for one, host in before.items() if host != "b2" and after[one] != host] == []
        resolvers.ctl("backend", "add", name, address, "--name", "b2")
        resolvers.wait_resolved()
        assert questions(sockets, b"again") == after


@pytest.mark.parametrize("way", CHOSEN[:2], **NAMES)
def test_a_question_to_an_unknown_port_is_counted(resolvers, way):
    """A port that the VIP does not have: dropped as `no_service`; the service goes on."""
    greet(resolvers.bed, way)
    before = resolvers.verdicts()
    with traffic.datagram_socket(resolvers.bed, way.family) as sender:
        sender.connect((way.vip, 9))
        sender.send(b"?")
    servers.wait_for(lambda: resolvers.verdicts()["no_service"] == before["no_service"] + 1, 2, "counted no_service")
    with flows(resolvers.bed, way, 1) as sockets:
        assert len(questions(sockets, b"still there?")) == 1

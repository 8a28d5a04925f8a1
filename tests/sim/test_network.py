from collections.abc import Callable
from math import nan
from random import Random

import pytest

from shoal.errors import ConfigError
from shoal.sim.latency import Constant, Latency, LogNormal, Uniform
from shoal.sim.network import Drop, Host, Link, Network, StreamMode, StreamReply
from shoal.sim.scheduler import Scheduler
from shoal.sim.streams import open_stream
from shoal.types import Address

QUICK = Link(latency=Constant(0.001))


class Listener:
    """A port that notes what arrives and when, and answers every stream request with its last byte first."""

    accepts_streams = True

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.got: list[bytes] = []
        self.times: list[float] = []

    def datagram(self, data: bytes, source: Address) -> None:
        self.got.append(data)
        self.times.append(self._scheduler.now)

    def stream(self, data: bytes, source: Address, reply: StreamReply) -> None:
        self.got.append(data)
        reply(data[::-1])


class Wires:
    """Hosts `a`, `b` and `c` with a listener each."""

    def __init__(self, link: Link = QUICK, seed: int = 1) -> None:
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, seed, link)
        self.hosts: dict[str, Host] = {}
        self.listeners: dict[str, Listener] = {}
        for name in "abc":
            self.add(name)

    def add(self, name: str, zone: str = "") -> None:
        host = self.network.add_host(name, Address(f"host-{name}", 1), zone)
        host.port = self.listeners[name] = Listener(self.scheduler)
        self.hosts[name] = host

    def send(self, sender: str, receiver: str, *packets: bytes) -> None:
        for packet in packets:
            self.network.send(self.hosts[sender], packet, self.hosts[receiver].address)

    def send_many(self, count: int = 1000) -> list[bytes]:
        self.send("a", "b", *map(_numbered, range(count)))
        return self.received("b")

    def received(self, name: str) -> list[bytes]:
        self.scheduler.run_to(self.scheduler.now + 60)
        return self.listeners[name].got

    def exchange(self, data: bytes, timeout: float = 5.0) -> tuple[bytes | str, float]:
        """What came of a stream from `a` to `b`, and when."""
        outcomes: list[tuple[bytes | str, float]] = []
        started = self.scheduler.now

        def note(outcome: bytes | str) -> None:
            outcomes.append((outcome, self.scheduler.now - started))

        open_stream(self.network, self.hosts["a"], self.hosts["b"].address, data, timeout, note, note)
        self.scheduler.run_to(started + 60)
        (outcome,) = outcomes
        return outcome


def _numbered(number: int) -> bytes:
    return number.to_bytes(4)


@pytest.fixture
def wires() -> Wires:
    return Wires()


# Latency


@pytest.mark.parametrize("latency", [Constant(0.01), Uniform(0.01, 0.03), LogNormal(0.01, 0.5)])
def test_a_latency_has_the_median_that_it_says(latency: Latency) -> None:
    random = Random(1)
    delays = sorted(latency.draw(random) for _ in range(2001))

    expected = 0.02 if isinstance(latency, Uniform) else 0.01
    assert delays[1000] == pytest.approx(expected, rel=0.1)
    assert delays[0] >= 0


def test_a_path_of_constant_latency_keeps_its_order(wires: Wires) -> None:
    packets = [_numbered(number) for number in range(50)]

    wires.send("a", "b", *packets)

    assert wires.received("b") == packets
    assert set(wires.listeners["b"].times) == {0.001}


def test_zones_and_single_paths_have_links_of_their_own() -> None:
    wires = Wires()
    wires.add("west", zone="west")
    wires.add("east", zone="east")
    wires.network.set_zone_link("west", "east", Link(latency=Constant(0.1)))
    wires.network.set_link("a", "b", Link(latency=Constant(7.0)))

    wires.send("west", "east", b"far")
    wires.send("a", "b", b"slow")
    wires.send("b", "a", b"back")
    wires.scheduler.run_to(60)

    arrivals = {name: wires.listeners[name].times for name in ("east", "b", "a")}
    assert arrivals == {"east": [0.1], "b": [7.0], "a": [0.001]}


# Loss, duplication, reordering


def test_loss_takes_its_share_of_packets() -> None:
    assert len(Wires(Link(loss=0.3)).send_many()) == pytest.approx(700, abs=50)


def test_all_losses_on_a_path_add_up() -> None:
    wires = Wires(Link(loss=0.1))
    wires.network.loss = 0.1
    wires.hosts["a"].egress_loss = 0.2
    wires.hosts["b"].ingress_loss = 0.5

    assert len(wires.send_many()) == pytest.approx(1000 * 0.9 * 0.9 * 0.8 * 0.5, abs=60)
    assert wires.network.dropped[Drop.LOST] == 1000 - len(wires.listeners["b"].got)


def test_loss_of_one_host_spares_the_others(wires: Wires) -> None:
    wires.hosts["b"].ingress_loss = 1.0

    wires.send("a", "b", b"lost")
    wires.send("b", "c", b"out")

    assert wires.received("c") == [b"out"]
    assert wires.received("b") == []


def test_duplication_delivers_its_share_twice() -> None:
    got = Wires(Link(duplication=0.2)).send_many()

    assert len(got) == pytest.approx(1200, abs=50)
    assert len(set(got)) == 1000


def test_reordering_lets_packets_overtake_each_other_and_loses_none() -> None:
    wires = Wires(Link(latency=Constant(0.001), reordering=0.1, held_back=0.5))

    got = wires.send_many()

    assert got != sorted(got)
    assert len(got) == 1000


# Partitions


def test_a_partition_cuts_both_ways_between_its_sides_only(wires: Wires) -> None:
    wires.network.partition(["a"], ["b"])

    wires.send("a", "b", b"1")
    wires.send("b", "a", b"2")
    wires.send("a", "c", b"3")
    wires.send("c", "b", b"4")

    assert (wires.received("a"), wires.received("b"), wires.received("c")) == ([], [b"4"], [b"3"])
    assert wires.network.dropped[Drop.CUT] == 2


def test_a_cut_leaves_the_way_back_open(wires: Wires) -> None:
    wires.network.cut(["a"], ["b", "c"])

    wires.send("a", "b", b"there")
    wires.send("b", "a", b"back")

    assert (wires.received("a"), wires.received("b")) == ([b"back"], [])


def test_cuts_heal_one_by_one_or_all_at_once(wires: Wires) -> None:
    first = wires.network.cut(["a"], ["b"])
    wires.network.cut(["a"], ["c"])

    wires.network.heal(first)
    wires.send("a", "b", b"1")
    wires.send("a", "c", b"2")
    wires.network.heal()
    wires.send("a", "c", b"3")

    assert (wires.received("b"), wires.received("c")) == ([b"1"], [b"3"])


# Rates, hosts and ports


def test_a_rate_limit_spaces_packets_and_drops_what_exceeds_the_backlog(wires: Wires) -> None:
    wires.hosts["a"].rate = 1000.0
    wires.hosts["a"].backlog_limit = 0.45

    wires.send("a", "b", *(bytes(100) for _ in range(20)))

    assert len(wires.received("b")) == 5
    assert wires.listeners["b"].times == pytest.approx([0.101, 0.201, 0.301, 0.401, 0.501])
    assert wires.network.dropped[Drop.CONGESTED] == 15


def test_packets_to_nobody_are_counted_and_dropped(wires: Wires) -> None:
    wires.hosts["b"].port = None

    wires.send("a", "b", b"nobody listens")
    wires.network.send(wires.hosts["a"], b"nobody there", Address("nowhere", 1))
    wires.scheduler.run_to(1)

    assert wires.network.dropped == {Drop.NO_PORT: 1, Drop.NO_HOST: 1}


def test_names_and_addresses_are_given_once(wires: Wires) -> None:
    with pytest.raises(ValueError, match="taken"):
        wires.network.add_host("a", Address("elsewhere", 1))
    with pytest.raises(ValueError, match="taken"):
        wires.network.add_host("d", Address("host-a", 1))


def test_traffic_is_counted_at_both_ends(wires: Wires) -> None:
    wires.send("a", "b", b"12345", b"123")
    wires.exchange(b"request")

    sent, received = wires.hosts["a"].traffic, wires.hosts["b"].traffic
    assert (sent.datagrams_out, sent.bytes_out, sent.largest_datagram) == (2, 8, 5)
    assert (received.datagrams_in, received.bytes_in) == (2, 8)
    assert (sent.streams_out, sent.stream_bytes_out, sent.stream_bytes_in) == (1, 7, 7)


def test_a_further_host_does_not_shift_what_happens_to_the_others() -> None:
    def fate(*others: str) -> tuple[list[bytes], list[float]]:
        wires = Wires(Link(loss=0.3, duplication=0.1, latency=LogNormal(0.01, 1.0)))
        for name in others:
            wires.add(name)
            wires.send(name, "c", b"noise")
        return wires.send_many(100), wires.listeners["b"].times

    assert fate() == fate("d", "e")


def test_another_seed_is_another_fate() -> None:
    link = Link(loss=0.5)

    assert Wires(link, seed=1).send_many(100) != Wires(link, seed=2).send_many(100)


# Streams


def test_a_stream_brings_the_reply_after_two_round_trips(wires: Wires) -> None:
    outcome, after = wires.exchange(b"abc")

    assert outcome == b"cba"
    assert after == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("mode", "outcome", "after"),
    [
        (StreamMode.REFUSED, "connection refused", 0.002),
        (StreamMode.STALLED, "timed out while waiting for the reply", 5.0),
        (StreamMode.RESET, "connection reset", 0.004),
    ],
)
def test_streams_can_be_made_to_go_wrong(wires: Wires, mode: StreamMode, outcome: str, after: float) -> None:
    wires.hosts["b"].streams = mode

    said, took = wires.exchange(b"abc")

    assert (said, round(took, 6)) == (outcome, after)
    assert wires.listeners["b"].got == ([b"abc"] if mode is StreamMode.RESET else [])


def test_a_host_without_a_process_refuses_streams_and_one_that_is_off_does_not_answer(wires: Wires) -> None:
    wires.hosts["b"].port = None
    assert wires.exchange(b"abc")[0] == "connection refused"

    wires.hosts["b"].is_off = True
    assert wires.exchange(b"abc", timeout=2.0) == ("timed out", 2.0)


def test_a_stream_outlives_loss_by_sending_again() -> None:
    wires = Wires(Link(latency=Constant(0.001), loss=0.5))

    outcomes = [wires.exchange(b"abc", timeout=50.0) for _ in range(20)]

    assert {outcome for outcome, _ in outcomes} == {b"cba"}
    assert max(after for _, after in outcomes) > 0.2


def test_a_stream_outlives_a_partition_that_heals_in_time_and_no_other(wires: Wires) -> None:
    wires.network.partition("a", "b")
    wires.scheduler.after(1.0, wires.network.heal)
    assert wires.exchange(b"abc")[0] == b"cba"

    wires.network.cut("b", "a")
    assert wires.exchange(b"abc")[0] == "timed out"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Link(loss=7), "loss = 7: must be 0 to 1"),
        (lambda: Link(loss=nan), "loss = nan: must be 0 to 1"),
        (lambda: Link(duplication=-1), "duplication = -1: must be 0 to 1"),
        (lambda: Link(reordering=2), "reordering = 2: must be 0 to 1"),
        (lambda: Link(held_back=-1), "held_back = -1: must be 0 to"),
        (lambda: Constant(-1), "seconds = -1: must be 0 to"),
        (lambda: Uniform(0.2, 0.1), "low = 0.2: must be at most high, which is 0.1"),
        (lambda: LogNormal(0.0, 0.5), "median = 0.0: must be 1e-09 to"),
        (lambda: LogNormal(0.1, 50.0), "sigma = 50.0: must be 0 to 3"),
    ],
)
def test_a_path_that_cannot_be_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()

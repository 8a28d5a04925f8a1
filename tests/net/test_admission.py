"""Who gets how much of a node's time. The clock is a number."""

from random import Random

import pytest

from shoal.config import ClusterConfig
from shoal.net.admission import Admission, Buckets
from shoal.net.transport import TransportStats
from shoal.types import Address

MEMBER = Address("10.0.0.1", 7946)
STRANGER = Address("10.9.9.9", 7946)
CONFIG = ClusterConfig(source_datagrams=1000, source_bytes=1 << 20)


class Door:
    """An admission, its counters and its clock."""

    def __init__(self, *members: Address) -> None:
        self.stats = TransportStats()
        self.admission = Admission(CONFIG, self.stats, set(members or [MEMBER]).__contains__)
        self.now = 1000.0

    def knock(self, source: Address, count: int = 1, size: int = 10) -> int:
        """How many of so many datagrams get in, one by one."""
        datagram = (bytes(size), source)
        return sum(len(self.admission.admit([datagram], size, self.now)) for _ in range(count))


def test_a_bucket_gives_a_second_of_its_rate_at_once_and_its_rate_from_then_on() -> None:
    buckets: Buckets[str] = Buckets()
    assert sum(buckets.take("a", 0.125, 50.0) for _ in range(20)) == 8
    assert sum(buckets.take("a", 0.125, 50.0 + tick / 16) for tick in range(1, 161)) == 80
    assert sum(buckets.take("b", 0.125, 60.0) for _ in range(20)) == 8


def test_asking_a_bucket_takes_nothing() -> None:
    buckets: Buckets[str] = Buckets()
    assert all(buckets.covers("a", 1.0, 5.0) for _ in range(3))
    assert len(buckets) == 0


@pytest.mark.parametrize("seed", range(20))
def test_forgetting_buckets_forgives_nobody(seed: int) -> None:
    random = Random(seed)
    buckets: Buckets[int] = Buckets()
    taken: dict[int, list[tuple[float, float]]] = {}
    now = 0.0
    for _ in range(3000):
        now += random.choice([0.0, 0.001, 0.01, 0.3])
        key, cost = random.randrange(5), random.choice([0.01, 0.2, 1.0])
        if buckets.take(key, cost, now):
            taken.setdefault(key, []).append((now, cost))
    for draws in taken.values():
        for first in range(0, len(draws), 50):
            total = 0.0
            for at, cost in draws[first:]:
                total += cost
                assert total <= at - draws[first][0] + 1.0 + 1e-6


def test_buckets_that_nobody_draws_on_are_forgotten() -> None:
    buckets: Buckets[int] = Buckets()
    for key in range(1000):
        buckets.take(key, 0.001, key / 100)
    assert len(buckets) <= 201


def test_little_traffic_is_waved_through_without_a_look() -> None:
    door = Door()
    assert door.knock(STRANGER, 100) == 100
    assert len(door.admission._unknown) == 0


def test_a_stranger_may_send_a_tenth_of_what_a_member_may() -> None:
    door = Door()
    door.knock(Address("10.5.5.5", 1), 100)  # from here on everybody is looked at
    assert door.knock(STRANGER, 2000) == 100
    assert door.knock(MEMBER, 2000) == 1000
    assert door.stats.dropped_source_rate == 1900 + 1000


def test_large_datagrams_cost_more() -> None:
    door = Door()
    door.knock(STRANGER, 100, size=1048)
    assert door.knock(MEMBER, 100, size=1 << 15) == 32


def test_a_flood_from_many_addresses_costs_members_nothing() -> None:
    door = Door()
    admitted = sum(door.knock(Address(f"10.7.{n >> 8}.{n & 255}", n), 1) for n in range(20_000))
    assert admitted == 100 + 1000
    assert door.stats.dropped_unknown_rate == 20_000 - admitted
    assert door.knock(MEMBER, 500) == 500


def test_addresses_that_are_refused_leave_no_trace() -> None:
    door = Door()
    for n in range(20_000):
        door.knock(Address("10.7.7.7", n), 1)
    assert len(door.admission._unknown) <= 1000


def test_members_on_one_host_have_a_bucket_each() -> None:
    members = [Address("127.0.0.1", port) for port in range(1, 2001)]
    door = Door(*members)
    assert sum(door.knock(member, 5) for member in members) == 10_000


def test_who_has_become_a_member_is_treated_as_one() -> None:
    members: set[Address] = set()
    stats = TransportStats()
    admission = Admission(CONFIG, stats, members.__contains__)
    batch = [(b"x", STRANGER)] * 64
    for _ in range(10):
        admission.admit(batch, 64, 5.0)
    members.add(STRANGER)
    assert sum(len(admission.admit(batch, 64, 6.5)) for _ in range(16)) == 16 * 64

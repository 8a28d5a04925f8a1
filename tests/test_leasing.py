"""What a decision that asks for the lease leads to. The strategy itself is tested in tests/swim/partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal.cluster import Cluster
from shoal.events import (
    Event,
    Partition,
    PartitionDecided,
    PartitionDecision,
    PartitionHealed,
    PartitionRuling,
    PartitionSuspected,
)
from shoal.leasing import Leasing
from shoal.store.lease import SqliteLease
from shoal.swim.partition.lease import Lease
from shoal.types import Address, Member, MemberState, NodeId, Tags
from tests.clusters import Lan, in_memory, in_real_time, until

SIDE = frozenset([NodeId(bytes(16))])
ASKING = PartitionDecision("lease", PartitionRuling.ASK_LEASE, "3 of 5 members are on this side", SIDE)


class Node:
    """What `Leasing` uses of a cluster."""

    def __init__(self, *decisions: PartitionDecision) -> None:
        self.told: list[tuple[PartitionRuling, str]] = []
        self.companions: set[object] = set()
        self._decisions = decisions

    @contextmanager
    def events(self) -> Iterator[AsyncIterator[Event]]:
        yield self._events()

    async def _events(self) -> AsyncIterator[Event]:
        for decision in self._decisions:
            yield PartitionDecided(Partition(0.0, (), present=3, rate=1.0), decision)
        await asyncio.Event().wait()

    async def rule_partition(self, ruling: PartitionRuling, why: str) -> None:
        self.told.append((ruling, why))

    def attach(self, companion: object) -> None:
        self.companions.add(companion)

    def detach(self, companion: object) -> None:
        self.companions.discard(companion)


class Unreachable:
    def acquire(self, owner: str) -> bool:
        raise OSError("no route to the lease")

    def release(self, owner: str) -> None:
        raise OSError("no route to the lease")


async def outcome(lease: Any, *decisions: PartitionDecision) -> list[tuple[PartitionRuling, str]]:
    node: Any = Node(*decisions)
    async with Leasing(node, lease):
        assert node.companions
        await until(lambda: node.told)
    assert not node.companions
    return list(node.told)


@in_real_time
async def test_who_gets_the_lease_stays(tmp_path: Path) -> None:
    [(ruling, why)] = await outcome(SqliteLease(tmp_path / "lease"), ASKING)

    assert ruling is PartitionRuling.STAY
    assert "3 of 5 members" in why


@in_real_time
async def test_who_comes_too_late_stands_down(tmp_path: Path) -> None:
    lease = SqliteLease(tmp_path / "lease")
    assert lease.acquire("the other side")

    [(ruling, why)] = await outcome(lease, ASKING)

    assert ruling is PartitionRuling.STAND_DOWN
    assert "another side" in why


@in_real_time
async def test_who_cannot_ask_stands_down_and_says_why() -> None:
    [(ruling, why)] = await outcome(Unreachable(), ASKING)

    assert ruling is PartitionRuling.STAND_DOWN
    assert "no route to the lease" in why


# The next partition

NAMES = "abcdef"
APART = Partition(0.0, (), present=1, rate=1.0)
HEALED = PartitionHealed((), (), 10.0)
MEMBER = Member("b", NodeId(bytes(16)), Address("10.0.0.2", 7946), MemberState.DEAD, 0, Tags(), since=0.0)


@pytest.fixture
def without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that jumps, a thread would take any time."""

    async def call(function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    monkeypatch.setattr(asyncio, "to_thread", call)


@asynccontextmanager
async def leased(lan: Lan, lease: Lease) -> AsyncIterator[dict[str, Cluster]]:
    """Six members that decide by a lease."""
    async with AsyncExitStack() as stack:
        nodes: dict[str, Cluster] = {}
        for name in NAMES:
            node = lan.node(name, seeds=list(nodes.values())[:1], partition_strategy="lease", withhold_verdicts=1.0)
            nodes[name] = await stack.enter_async_context(node)
            await stack.enter_async_context(Leasing(node, lease))
        for node in nodes.values():
            await node.wait_for_members(len(NAMES))
        yield nodes


async def staying(lan: Lan, nodes: dict[str, Cluster], *sides: str) -> str:
    """Who is told to stay when the cluster is cut so, and all of the sides have decided."""
    lan.network.heal()
    lan.network.partition([[nodes[name].local.address for name in side] for side in sides])
    await asyncio.sleep(15.0)
    rulings = {name: ruling_of(nodes[name]) for name in "".join(sides)}
    assert set(rulings.values()) <= {PartitionRuling.STAY, PartitionRuling.STAND_DOWN}
    return "".join(name for name, ruling in rulings.items() if ruling is PartitionRuling.STAY)


def ruling_of(node: Cluster) -> PartitionRuling | None:
    partition = node.partition()
    return None if partition is None or partition.decision is None else partition.decision.ruling


async def heal(lan: Lan, nodes: dict[str, Cluster]) -> None:
    lan.network.heal()
    await until(lambda: all(node.partition() is None for node in nodes.values()))


@in_memory
async def test_a_cluster_that_healed_can_decide_the_next_partition(tmp_path: Path, without_threads: None) -> None:
    lan = Lan()
    async with leased(lan, SqliteLease(tmp_path / "lease")) as nodes:
        assert await staying(lan, nodes, "abcd", "ef") == "abcd"
        await heal(lan, nodes)
        await asyncio.sleep(10.0)

        assert await staying(lan, nodes, "abe", "cdf") in ("abe", "cdf")


@in_memory
async def test_survivors_that_come_apart_again_leave_one_part(tmp_path: Path, without_threads: None) -> None:
    lan = Lan()
    async with leased(lan, SqliteLease(tmp_path / "lease")) as nodes:
        assert await staying(lan, nodes, "abcd", "ef") == "abcd"

        assert await staying(lan, nodes, "abc", "d", "ef") == "abc"
        assert await staying(lan, nodes, "ab", "c", "d", "ef") == "ab"


@in_memory
async def test_a_holder_that_goes_over_to_the_other_side_does_not_take_the_lease_along(
    tmp_path: Path, without_threads: None
) -> None:
    lan = Lan()
    async with leased(lan, SqliteLease(tmp_path / "lease")) as nodes:
        assert await staying(lan, nodes, "abcd", "ef") == "abcd"

        alive = {*await staying(lan, nodes, "ab", "cdef")}

        assert alive == {*"ab"} or {*"cd"} <= alive <= {*"cdef"}


@in_memory
async def test_right_after_a_partition_heals_nobody_else_gets_the_lease(tmp_path: Path, without_threads: None) -> None:
    lan, lease = Lan(), SqliteLease(tmp_path / "lease")
    async with leased(lan, lease) as nodes:
        assert await staying(lan, nodes, "abcd", "ef") == "abcd"
        await heal(lan, nodes)

        assert not lease.acquire("who decides late")


async def told(lease: Lease, *events: tuple[float, Event]) -> Sequence[tuple[PartitionRuling, str]]:
    """What a node says that is told these events, after so many seconds each."""

    class Told(Node):
        async def _events(self) -> AsyncIterator[Event]:
            for pause, event in events:
                await asyncio.sleep(pause)
                yield event
            await asyncio.Event().wait()

    node: Any = Told()
    async with Leasing(node, lease):
        await asyncio.sleep(30.0)
    return list(node.told)


@in_memory
async def test_the_lease_is_given_back_when_all_are_back(tmp_path: Path, without_threads: None) -> None:
    lease = SqliteLease(tmp_path / "lease")

    await told(lease, (0, PartitionDecided(APART, ASKING)), (9, HEALED))

    assert lease.acquire("the next")


@pytest.mark.parametrize(
    "events",
    [
        [(9.0, PartitionHealed((), (MEMBER,), 10.0))],
        [(9.0, HEALED), (1.0, PartitionSuspected(APART))],
    ],
    ids=["some are lost", "it begins again"],
)
@in_memory
async def test_the_lease_is_kept_as_long_as_it_is_not_over(
    tmp_path: Path, without_threads: None, events: list[tuple[float, Event]]
) -> None:
    lease = SqliteLease(tmp_path / "lease")

    await told(lease, (0, PartitionDecided(APART, ASKING)), *events)

    assert not lease.acquire("the other side")


@in_memory
async def test_who_is_about_to_ask_does_not_when_the_partition_is_over(tmp_path: Path, without_threads: None) -> None:
    lease = SqliteLease(tmp_path / "lease")
    later = PartitionDecision("lease", PartitionRuling.ASK_LEASE, "2 of 5", SIDE, wait=2.0)

    assert not await told(lease, (0, PartitionDecided(APART, later)), (1, HEALED))
    assert lease.acquire("anybody")


@in_memory
async def test_a_lease_that_cannot_be_given_back_is_a_warning(
    without_threads: None, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Unreachable):
        def acquire(self, owner: str) -> bool:
            return True

    await told(Stuck(), (0, PartitionDecided(APART, ASKING)), (9, HEALED))

    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "cannot be given back: no route to the lease" in record.getMessage()

"""What a decision that asks for the lease leads to. The strategy itself is tested in tests/swim/partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.events import Event, Partition, PartitionDecided, PartitionDecision, PartitionRuling
from shoal.leasing import Leasing
from shoal.store.lease import SqliteLease
from shoal.types import NodeId
from tests.clusters import in_real_time, until

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

"""Asks for the lease that decides a partition, where the strategy is `lease`, and gives it back when that is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from shoal.cluster import Cluster
from shoal.companion import CompanionTask
from shoal.errors import ClosedError
from shoal.events import (
    Partition,
    PartitionDecided,
    PartitionDecision,
    PartitionHealed,
    PartitionRuling,
    PartitionSuspected,
)
from shoal.swim.partition.lease import Lease
from shoal.swim.partition.settling import settle_time

__all__ = ["Leasing"]

_log = logging.getLogger("shoal.cluster")


class Leasing(CompanionTask):
    """Takes the lease when a decision asks for it, and tells the node what came of it.

        async with shoal.Cluster(partition_strategy="lease") as cluster, Leasing(cluster, SqliteLease(path)):
            ...

    It gives the lease back when the partition has healed and nothing has happened for a settle time since. It ends with
    the block, or with the node.
    """

    def __init__(self, cluster: Cluster, lease: Lease) -> None:
        super().__init__(cluster, "leasing")
        self._lease = lease
        #: The side under whose name this node may have the lease.
        self._owner: str | None = None
        self._decision: PartitionDecision | None = None
        self._pause = 0.0
        self._planned: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()

    async def _run(self) -> None:
        with self._cluster.events() as events:
            async with asyncio.TaskGroup() as steps:
                try:
                    async for event in events:
                        self._look_at(event, steps)
                finally:
                    self._forget_the_plan()

    def _look_at(self, event: object, steps: asyncio.TaskGroup) -> None:
        match event:
            case PartitionSuspected() | PartitionHealed(still_lost=(_, *_)):
                self._forget_the_plan()
            case PartitionDecided(partition, decision) if decision.ruling is PartitionRuling.ASK_LEASE:
                self._decision, self._pause = decision, settle_time(_size(partition))
                self._plan(decision.wait, partial(self._answer, decision), steps)
            case PartitionHealed():
                self._plan(self._pause, self._give_back, steps)

    def _plan(self, delay: float, step: Callable[[], Awaitable[None]], steps: asyncio.TaskGroup) -> None:
        """Do `step` then, and nothing else that was planned."""
        self._forget_the_plan()
        loop = asyncio.get_running_loop()
        self._planned = loop.call_later(delay, lambda: steps.create_task(self._in_turn(step)))

    def _forget_the_plan(self) -> None:
        if self._planned is not None:
            self._planned.cancel()

    async def _in_turn(self, step: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            await step()

    async def _answer(self, decision: PartitionDecision) -> None:
        ruling, why = await self._ask(decision)
        if decision is self._decision:
            with suppress(ClosedError):
                await self._cluster.rule_partition(ruling, why)

    async def _ask(self, decision: PartitionDecision) -> tuple[PartitionRuling, str]:
        try:
            is_held = await asyncio.to_thread(self._take, decision.side)
        except Exception as error:  # whatever a lease of somebody's own raises: who cannot ask does not have it
            _log.warning(
                "the lease cannot be asked for: %s; this side stands down (partition_strategy = lease)",
                error,
                extra={"event": "lease_failed"},
            )
            return PartitionRuling.STAND_DOWN, f"the lease cannot be asked for: {error}"
        if is_held:
            return PartitionRuling.STAY, f"this side has the lease; {decision.why}"
        return PartitionRuling.STAND_DOWN, f"another side has the lease; {decision.why}"

    def _take(self, owner: str) -> bool:
        """Ask in a thread; a part of the side that has the lease first gives it back, so that either part can take it.

        Nobody goes on by what is given back: whoever shared it has lost this part, and asks again too.
        """
        if self._owner is not None and self._owner != owner:
            self._lease.release(self._owner)
        self._owner = owner
        if self._lease.acquire(owner):
            return True
        self._owner = None
        return False

    async def _give_back(self) -> None:
        owner, self._owner = self._owner, None
        if owner is None:
            return
        try:
            await asyncio.to_thread(self._lease.release, owner)
        except Exception as error:  # whatever a lease of somebody's own raises: it ends by itself
            _log.warning(
                "the lease cannot be given back: %s; a partition before it ends may find nobody to stay",
                error,
                extra={"event": "lease_failed"},
            )


def _size(partition: Partition) -> int:
    return partition.present + len(partition.lost)

"""Asks for the lease that decides a partition, where the strategy is `lease`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from shoal.cluster import Cluster
from shoal.companion import CompanionTask
from shoal.errors import ClosedError
from shoal.events import PartitionDecided, PartitionDecision, PartitionRuling
from shoal.swim.partition.lease import Lease

__all__ = ["Leasing"]

_log = logging.getLogger("shoal.cluster")


class Leasing(CompanionTask):
    """Takes the lease when a decision asks for it, and tells the node what came of it.

        async with shoal.Cluster(partition_strategy="lease") as cluster, Leasing(cluster, SqliteLease(path)):
            ...

    It ends with the block, or with the node.
    """

    def __init__(self, cluster: Cluster, lease: Lease) -> None:
        super().__init__(cluster, "leasing")
        self._lease = lease

    async def _run(self) -> None:
        with self._cluster.events() as events, suppress(ClosedError):
            async for event in events:
                match event:
                    case PartitionDecided(decision=PartitionDecision(ruling=PartitionRuling.ASK_LEASE) as decision):
                        await asyncio.sleep(decision.wait)
                        await self._cluster.rule_partition(*await self._ask(decision))

    async def _ask(self, decision: PartitionDecision) -> tuple[PartitionRuling, str]:
        try:
            is_held = await asyncio.to_thread(self._lease.acquire, decision.side)
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

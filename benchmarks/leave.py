"""How long until all others see a graceful leave as LEFT: `python -m benchmarks.leave [--nodes N] [--rounds R]`."""

from __future__ import annotations

import asyncio
import time

import shoal
from benchmarks._local_cluster import LIMIT_SECONDS, Figures, formed, main, summary

SETTLE_SECONDS = 2.0
"""Until the news of the joins is out of the gossip queues."""


async def measure(nodes: int) -> Figures:
    """One round: one node of a settled cluster leaves."""
    async with formed(nodes) as (clusters, _):
        await asyncio.sleep(SETTLE_SECONDS)
        leaver, *others = clusters
        begin = time.perf_counter()

        async def seen(observer: shoal.Cluster, events: shoal.Subscription) -> float:
            async with asyncio.timeout(LIMIT_SECONDS):
                async for event in events:
                    match event:
                        case shoal.MemberLeft(member) if member.id == leaver.local.id:
                            return time.perf_counter() - begin
                        case shoal.MemberFailed(member):
                            raise AssertionError(f"{observer.local.name} holds {member.name} dead, not left")
            raise AssertionError("the events ended")

        watching = [asyncio.create_task(seen(observer, observer.events())) for observer in others]
        await leaver.leave()
        return summary(await asyncio.gather(*watching))


if __name__ == "__main__":
    main("leave", measure)

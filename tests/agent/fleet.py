"""Several nodes in one process, which can be killed together: `python -m tests.agent.fleet CLUSTER SEED NAME...`.

All have the tag rack=r1. The process writes a line when they run, and ends when it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from shoal import Cluster, ClusterConfig


async def run(cluster: str, seed: str, names: list[str]) -> None:
    config = ClusterConfig.load(None, os.environ, "local").replace(cluster=cluster, seeds=[seed], tags={"rack": "r1"})
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(Cluster(config, name=name, bind="127.0.0.1:0"))
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], sys.argv[3:]))

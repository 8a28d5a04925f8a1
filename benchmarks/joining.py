"""What it costs that nodes join one after the other: `python -m benchmarks.joining [--nodes N]`.

All nodes live in this process, on real sockets, and join through the first; each begins once the one before has joined.
Printed are wall and CPU seconds until the last has joined, and until every view is complete, and what a node heard.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

import shoal
from benchmarks._local_cluster import node
from shoal.bench.arguments import at_least
from shoal.net.loops import run

_LIMIT = 300.0


@dataclass(frozen=True, slots=True)
class Joining:
    """One run; seconds since the start of the first node, updates, comparisons and datagrams of the mean node."""

    nodes: int
    joined_s: float
    joined_cpu_s: float
    complete_s: float
    complete_cpu_s: float
    updates_in: float
    comparisons: float
    datagrams_in: float


async def measure(count: int) -> Joining:
    """Let so many nodes join one after the other."""
    async with AsyncExitStack() as stack:
        wall, cpu = time.perf_counter(), time.process_time()
        nodes: list[shoal.Cluster] = []
        for number in range(count):
            each = node(f"node-{number}", [nodes[0].local.address] if nodes else [])
            await each.start()
            stack.push_async_callback(each.close)
            nodes.append(each)
        joined = time.perf_counter() - wall, time.process_time() - cpu
        await asyncio.gather(*(each.wait_for_members(count, _LIMIT) for each in nodes))
        complete = time.perf_counter() - wall, time.process_time() - cpu
        stats = [each.stats() for each in nodes]

        def mean(counter: str) -> float:
            return sum(each[counter] for each in stats) / count

        heard = mean("updates_in"), mean("comparisons"), mean("datagrams_in")
        return Joining(count, *joined, *complete, *heard)


def main() -> None:
    """Measure once and print it."""
    parser = argparse.ArgumentParser(description="what it costs that nodes join one after the other")
    parser.add_argument("--nodes", type=at_least(2), default=100, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(measure(options.nodes))
    if options.json:
        print(json.dumps(asdict(result)))
        return
    print(f"{result.nodes} nodes, seconds (of CPU)")
    print(f"  joined    {result.joined_s:.2f} ({result.joined_cpu_s:.2f})")
    print(f"  complete  {result.complete_s:.2f} ({result.complete_cpu_s:.2f})")
    print(
        f"a node heard {result.updates_in:.0f} updates in {result.datagrams_in:.0f} datagrams "
        f"and made {result.comparisons:.1f} comparisons"
    )


if __name__ == "__main__":
    main()

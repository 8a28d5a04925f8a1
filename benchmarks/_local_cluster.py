"""What the benchmarks of shoal itself share: real nodes in this process, over real sockets on loopback."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

import shoal
from shoal.bench.arguments import at_least
from shoal.net.loops import run

__all__ = ["Figures", "Measure", "formed", "main", "node"]

LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round saw, in seconds."""

    median: float
    """Of the nodes."""
    last: float
    """Of the slowest node: the figure that is aimed at."""


Measure = Callable[[int], Awaitable[Figures]]


def node(name: str, seeds: Sequence[shoal.Address] = ()) -> shoal.Cluster:
    """A node with the default profile on a free port of loopback."""
    return shoal.Cluster(name=name, bind="127.0.0.1:0", seeds=seeds)


@asynccontextmanager
async def formed(count: int) -> AsyncIterator[tuple[list[shoal.Cluster], Figures]]:
    """Nodes that started together against one seed, and how long it took until each view was complete."""
    async with AsyncExitStack() as stack:
        begin = time.perf_counter()
        first = node("node-0")
        await first.start()
        nodes = [first, *(node(f"node-{number}", [first.local.address]) for number in range(1, count))]
        for each in nodes:
            stack.push_async_callback(each.close)

        async def complete(each: shoal.Cluster) -> float:
            if each is not first:
                await each.start()
            await each.wait_for_members(count, LIMIT_SECONDS)
            return time.perf_counter() - begin

        yield nodes, summary(await asyncio.gather(*map(complete, nodes)))


def summary(seconds: Sequence[float]) -> Figures:
    """The figures of one round."""
    return Figures(statistics.median(seconds), max(seconds))


def main(what: str, measure: Measure) -> None:
    """Parse the command line, measure some rounds, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--nodes", type=at_least(2), default=50, metavar="N")
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="R")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = [run(_measured(measure, options.nodes)) for _ in range(options.rounds)]
    if options.json:
        print(json.dumps({"nodes": options.nodes, "rounds": [asdict(figures) for figures in rounds]}))
        return
    print(f"{what}: {options.nodes} nodes, {options.rounds} rounds, seconds (median of the rounds, least to most)")
    for label, values in (
        ("median node", [figures.median for figures in rounds]),
        ("last node", [figures.last for figures in rounds]),
    ):
        print(f"  {label:12} {statistics.median(values):.3f}  ({min(values):.3f} to {max(values):.3f})")


async def _measured(measure: Measure, nodes: int) -> Figures:
    return await measure(nodes)

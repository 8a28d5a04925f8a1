"""What the Python peers share; see the package's docstring for the contract."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Sized
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Generic, Protocol, TypeVar

POLL_SECONDS = 0.02


class Node(Protocol):
    """A started node, as far as the benchmark looks at it."""

    def members(self) -> Sized: ...


N = TypeVar("N", bound=Node)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a peer says of itself in its ``formed`` line."""

    name: str
    version: str
    encrypted: bool
    profile: str = "lan"
    loop: str = "asyncio"
    """On which event loop the nodes run; of a peer with threads of its own, where its commands are called."""


@dataclass(frozen=True, slots=True)
class Implementation(Generic[N]):
    """How to open one node, given its name and seeds, and how to ask it where it listens.

    `version` is that of the distribution, unless it is given.
    """

    distribution: str
    encrypted: bool
    open_node: Callable[[str, list[str]], AbstractAsyncContextManager[N]]
    address_of: Callable[[N], str]
    version: str | None = None

    def main(self) -> None:
        """Run the peer program until its standard input closes."""
        parser = argparse.ArgumentParser(description=f"N nodes of {self.distribution}")
        parser.add_argument("--nodes", type=int, required=True, metavar="N")
        parser.add_argument("--spread", type=float, default=0.0, metavar="SECONDS")
        parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
        options = parser.parse_args()
        threading.Thread(target=_exit_when_input_closes, daemon=True).start()
        with asyncio.Runner(loop_factory=_loop_factory(options.loop)) as runner:
            runner.run(self._run(options.nodes, options.spread, options.loop))

    async def _run(self, count: int, spread: float, loop: str) -> None:
        facts = Facts(self.distribution, self.version or version(self.distribution), self.encrypted, loop=loop)
        async with AsyncExitStack() as stack:
            begin = time.perf_counter()
            await _views_full(await self._start(stack, count, spread))
            seconds = time.perf_counter() - begin
            line = {"event": "formed", "seconds": round(seconds, 3), **asdict(facts)}
            print(json.dumps(line), flush=True)
            await asyncio.Event().wait()

    async def _start(self, stack: AsyncExitStack, count: int, spread: float) -> list[N]:
        first = await stack.enter_async_context(self.open_node("node-0", []))
        seeds = [self.address_of(first)]

        async def join(number: int) -> N:
            await asyncio.sleep(spread * number / count)
            return await stack.enter_async_context(self.open_node(f"node-{number}", seeds))

        return [first, *await asyncio.gather(*map(join, range(1, count)))]


def _loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == "asyncio":
        return None
    import uvloop  # noqa: PLC0415 - optional

    return uvloop.new_event_loop


def _exit_when_input_closes() -> None:
    # Not sys.stdin: a thread that waits in it would turn every other end into a fatal error.
    while os.read(0, 1024):
        pass
    # Not sys.exit: hundreds of graceful leaves at once take seconds and measure nothing.
    os._exit(0)


async def _views_full(nodes: list[N]) -> None:
    # Only one incomplete view is looked at per poll, so that watching costs next to nothing.
    pending = list(nodes)
    while pending:
        if len(pending[-1].members()) == len(nodes):
            pending.pop()
        else:
            await asyncio.sleep(POLL_SECONDS)

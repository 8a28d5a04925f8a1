"""What the Python peers share; see the package's docstring for the contract."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Generic, Protocol, TypeVar

ANYWHERE = "127.0.0.1:0"
POLL_SECONDS = 0.02
PATIENCE = 60.0
"""Seconds after which a death that is not known to all counts as not known."""


class Node(Protocol):
    """A started node, as far as the benchmark looks at it."""

    def members(self) -> Sized: ...

    def close(self) -> Awaitable[object] | None:
        """End it as if its process had been killed."""
        ...


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
    """How to open one node, given its name, its seeds and where to bind it, and how to ask it where it listens.

    `version` is that of the distribution, unless it is given. `deaths` follows the names of the members that a node
    comes to hold dead, from its call on; what has none, and no `close` that amounts to a crash, detects nothing.
    """

    distribution: str
    encrypted: bool
    open_node: Callable[[str, list[str], str], AbstractAsyncContextManager[N]]
    address_of: Callable[[N], str]
    version: str | None = None
    deaths: Callable[[N], AsyncIterator[str]] | None = None
    encrypt: Callable[[], None] | None = None
    """Lets nodes that are opened from now on encrypt, of what does not do so anyway."""

    def main(self) -> None:
        """Run the peer program until its standard input closes."""
        parser = argparse.ArgumentParser(description=f"N nodes of {self.distribution}")
        parser.add_argument("--nodes", type=int, required=True, metavar="N")
        parser.add_argument("--spread", type=float, default=0.0, metavar="SECONDS")
        parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
        if self.encrypt is not None:
            parser.add_argument("--encrypt", dest="encrypted", action="store_true")
        options = parser.parse_args()
        encrypted = self.encrypted
        if self.encrypt is not None and options.encrypted:
            self.encrypt()
            encrypted = True
        with asyncio.Runner(loop_factory=_loop_factory(options.loop)) as runner:
            runner.run(self._run(options.nodes, options.spread, options.loop, encrypted))

    async def _run(self, count: int, spread: float, loop: str, encrypted: bool) -> None:
        commands: asyncio.Queue[str] = asyncio.Queue()
        read = asyncio.get_running_loop(), commands
        threading.Thread(target=_read_commands, args=read, daemon=True).start()
        facts = Facts(self.distribution, self.version or version(self.distribution), encrypted, loop=loop)
        async with AsyncExitStack() as stack:
            begin = time.perf_counter()
            nodes = await self._start(stack, count, spread)
            await _views_full(nodes)
            _say("formed", seconds=round(time.perf_counter() - begin, 3), **asdict(facts))
            ordeal = _Ordeal(self, nodes, stack)
            while True:
                match await commands.get():
                    case "crash":
                        await ordeal.crash()
                    case "restart":
                        await ordeal.restart()
                    case unknown:
                        raise SystemExit(f"unknown command {unknown!r}")

    async def _start(self, stack: AsyncExitStack, count: int, spread: float) -> list[N]:
        first = await stack.enter_async_context(self.open_node("node-0", [], ANYWHERE))
        seeds = [self.address_of(first)]

        async def join(number: int) -> N:
            await asyncio.sleep(spread * number / count)
            return await stack.enter_async_context(self.open_node(f"node-{number}", seeds, ANYWHERE))

        return [first, *await asyncio.gather(*map(join, range(1, count)))]


class _Ordeal(Generic[N]):
    """Ends nodes and starts them again."""

    def __init__(self, implementation: Implementation[N], nodes: list[N], stack: AsyncExitStack) -> None:
        self._implementation = implementation
        self._nodes = nodes
        self._stack = stack
        self._victim = 0
        self._address = ANYWHERE
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended: set[str] = set()
        self._false_deaths = 0
        #: When each observer came to hold the last ended node dead.
        self._known: dict[int, float] = {}
        self._all_know = asyncio.Event()

    async def crash(self) -> None:
        if not self._tasks:
            for number in range(len(self._nodes)):
                self._watch(number)
            await asyncio.sleep(0)  # all are subscribed then
        self._victim = self._victim % (len(self._nodes) - 1) + 1
        self._ended = {f"node-{self._victim}"}
        self._known.clear()
        self._all_know.clear()
        self._tasks.pop(self._victim).cancel()
        self._address = self._implementation.address_of(self._nodes[self._victim])
        if (closing := self._nodes[self._victim].close()) is not None:
            await closing
        at = time.perf_counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._all_know.wait()
        times = [known - at for known in self._known.values()]
        _say(
            "crash",
            first_s=min(times, default=None),
            all_know_s=max(times) if self._all_know.is_set() else None,
            false_deaths=self._false_deaths,
        )

    async def restart(self) -> None:
        begin = time.perf_counter()
        implementation, name = self._implementation, f"node-{self._victim}"
        seeds = [implementation.address_of(self._nodes[0])]
        # Where it was: some implementations hold a name and its address together for a while.
        node = implementation.open_node(name, seeds, self._address)
        self._nodes[self._victim] = await self._stack.enter_async_context(node)
        await _views_full(self._nodes)
        self._ended.clear()
        self._watch(self._victim)
        _say("restored", seconds=round(time.perf_counter() - begin, 3))

    def _watch(self, number: int) -> None:
        self._tasks[number] = asyncio.create_task(self._follow(number))

    async def _follow(self, number: int) -> None:
        assert self._implementation.deaths is not None
        async for name in self._implementation.deaths(self._nodes[number]):
            if name not in self._ended:
                self._false_deaths += 1
                continue
            self._known.setdefault(number, time.perf_counter())
            if len(self._known) == len(self._nodes) - 1:
                self._all_know.set()


def _say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def _loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == "asyncio":
        return None
    import uvloop  # noqa: PLC0415 - optional

    return uvloop.new_event_loop


def _read_commands(loop: asyncio.AbstractEventLoop, commands: asyncio.Queue[str]) -> None:
    # Not sys.stdin: a thread that waits in it would turn every other end into a fatal error.
    rest = b""
    while data := os.read(0, 1024):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            loop.call_soon_threadsafe(commands.put_nowait, line.decode())
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

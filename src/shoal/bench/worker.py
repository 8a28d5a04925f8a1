"""One process of a run: many nodes on one event loop, which do as the director says."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import assert_never

from shoal.bench.limits import allow_files, files_needed
from shoal.bench.messages import (
    Adopt,
    Answer,
    Collect,
    Done,
    Failed,
    Kill,
    Look,
    Open,
    Opened,
    Prepare,
    Prepared,
    Reading,
    Request,
    Sightings,
    Start,
)
from shoal.bench.node import BenchNode
from shoal.bench.plan import Plan
from shoal.bench.sightings import Observed
from shoal.errors import ShoalError
from shoal.events import Event
from shoal.net.loops import run
from shoal.net.transport import TransportStats
from shoal.sim.formation import formed_view
from shoal.types import Address, MemberState

if sys.platform != "win32":
    import resource

__all__ = ["work"]


def work(plan: Plan, director: Connection) -> None:
    """Be one worker until the director's end of the pipe closes, which ends this process at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the director decides
    allow_files(files_needed(plan))
    # A collection follows the references of every view in the process, a hundred million among 10,000 nodes, and all
    # nodes stand still meanwhile. They leave no cycles behind that would have to be found.
    gc.disable()
    run(_Worker(plan, director).serve())


class _Worker:
    def __init__(self, plan: Plan, director: Connection) -> None:
        self._config = plan.node_config
        self._director = director
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._nodes: dict[int, BenchNode] = {}
        self._ended: list[TransportStats] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._failure: str | None = None
        self._observed = Observed()
        self._longest_lag = 0.0
        self._bytes_before = _resident_bytes()

    async def serve(self) -> None:
        """Answer requests for ever."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()
        while True:
            request = await self._requests.get()
            self._director.send(await self._answer(request))

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                loop.call_soon_threadsafe(self._requests.put_nowait, self._director.recv())
        except (EOFError, OSError):
            os._exit(1)  # the director is gone, and nodes would go on for ever

    async def _answer(self, request: Request) -> Answer:
        match request:
            case Open():
                return await self._open(request)
            case Prepare(numbers):
                return await self._prepare(numbers)
            case Adopt(members):
                return await self._adopt(members)
            case Start():
                return await self._start()
            case Look(expected):
                return self._look(expected) if self._failure is None else Failed(self._failure)
            case Kill(numbers):
                return await self._kill(numbers)
            case Collect():
                return self._collect()
            case _:
                assert_never(request)

    async def _open(self, request: Open) -> Answer:
        task = asyncio.create_task(self._open_all(request.schedule, request.seeds))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        if request.wait:
            await task
        if self._failure is not None:
            return Failed(self._failure)
        return Opened([self._nodes[number].address for number, _ in request.schedule] if request.wait else [])

    async def _open_all(self, schedule: Sequence[tuple[int, float]], seeds: Sequence[Address]) -> None:
        try:
            for number, due in schedule:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                node = self._nodes[number] = await self._make(number)
                await node.start()
                if seeds:
                    node.join(seeds[number % len(seeds)])
        except ShoalError as error:
            self._failure = f"a node could not be started: {error}"

    async def _make(self, number: int) -> BenchNode:
        return await BenchNode.open(number, self._config, self._note, self._note_lag)

    async def _prepare(self, numbers: Sequence[int]) -> Answer:
        try:
            for number in numbers:
                self._nodes[number] = await self._make(number)
        except ShoalError as error:
            return Failed(f"a node could not be started: {error}")
        return Prepared([node.core.local for node in self._nodes.values()])

    async def _adopt(self, members: bytes) -> Answer:
        view = formed_view(self._config.cluster, members, time.monotonic())
        for node in self._nodes.values():
            node.core.adopt(view)
        return Done(time.monotonic())

    async def _start(self) -> Answer:
        for node in self._nodes.values():
            await node.start()
        return Done(time.monotonic())

    def _note(self, _observer: int, events: Sequence[Event]) -> None:
        self._observed.note(events)

    def _note_lag(self, late: float) -> None:
        self._longest_lag = max(self._longest_lag, late)

    async def _kill(self, numbers: frozenset[int]) -> Answer:
        self._observed.expect(numbers)
        here = [self._nodes.pop(number) for number in numbers if number in self._nodes]
        for node in here:
            await node.kill()
            self._ended.append(node.transport.stats)
        return Done(time.monotonic())

    def _look(self, expected: int) -> Reading:
        alive = [node.core.counts()[MemberState.ALIVE] for node in self._nodes.values()]
        sent = [*self._ended, *(node.transport.stats for node in self._nodes.values())]
        observed = self._observed
        lag, self._longest_lag = self._longest_lag, 0.0
        return Reading(
            at=time.monotonic(),
            started=len(alive),
            complete=sum(count == expected for count in alive),
            known=sum(alive),
            unwell=sum(node.core.health.score > 0 for node in self._nodes.values()),
            cpu_seconds=time.process_time(),
            resident_bytes=_resident_bytes(),
            bytes_before=self._bytes_before,
            datagrams_out=sum(stats.datagrams_out for stats in sent),
            datagram_bytes_out=sum(stats.bytes_out for stats in sent),
            streams_out=sum(stats.streams_out for stats in sent),
            stream_bytes_out=sum(stats.stream_bytes_out for stats in sent),
            streams_failed=sum(stats.streams_failed + stats.streams_refused for stats in sent),
            send_full=sum(stats.send_full for stats in sent),
            false_suspicions=observed.false_suspicions,
            false_deaths=observed.false_deaths,
            falsely_suspected=len(observed.falsely_suspected),
            falsely_dead=len(observed.falsely_dead),
            verdicts=observed.verdict_count,
            longest_lag=lag,
            core_faults=sum(node.driver.stats.core_faults for node in self._nodes.values()),
        )

    def _collect(self) -> Sightings:
        digests = frozenset(node.core.digest for node in self._nodes.values())
        return Sightings({number: list(times) for number, times in self._observed.verdicts.items()}, digests)


def _resident_bytes() -> int:
    """What this process holds of the memory now; elsewhere than on Linux, the most that it ever held."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        if sys.platform == "win32":
            return 0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

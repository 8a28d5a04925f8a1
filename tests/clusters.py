"""Clusters for tests: quick settings, a network in memory on a clock of its own, and a look at what is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import stat
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any, ParamSpec

from shoal import Cluster, ClusterConfig
from shoal.net.memory import MemoryNetwork
from shoal.types import Address
from tests.net.loops import VirtualClockLoop

__all__ = ["FAST", "PATIENCE", "Lan", "Leftovers", "in_memory", "in_real_time", "open_sockets", "until", "waited_for"]

FAST = ClusterConfig(
    bind=Address("127.0.0.1", 0),
    probe_interval=0.05,
    probe_timeout=0.025,
    suspicion_alpha=20.0,
    suspicion_beta=1.0,
    gossip_interval=0.01,
    join_timeout=20.0,
    rejoin_interval=0.1,
    rejoin_interval_max=0.2,
    reconnect_interval=0.1,
    leave_timeout=20.0,
    stream_timeout=5.0,
    stream_attempts=2,
    backoff_initial=0.01,
    backoff_max=0.05,
)
"""Timings for tests that need real time: short where something is awaited, long where something must not run out."""

PATIENCE = 60.0
"""Seconds after which a test gives up, on whichever clock it runs."""
_DESCRIPTORS = Path("/dev/fd")

_Params = ParamSpec("_Params")
_Test = Callable[_Params, Coroutine[Any, Any, None]]


class Lan:
    """A network in memory, with a host of its own for each node: 10.0.0.1, 10.0.0.2 and so on."""

    def __init__(self) -> None:
        self.network = MemoryNetwork(Random(1))
        self._hosts = 0

    def node(self, name: str, *, seeds: Sequence[Cluster | Address | str] = (), **changes: Any) -> Cluster:
        """A node that is not started yet."""
        self._hosts += 1
        return self.node_at(Address(f"10.0.0.{self._hosts}", 7946), name, seeds=seeds, **changes)

    def node_at(
        self, address: Address, name: str, *, seeds: Sequence[Cluster | Address | str] = (), **changes: Any
    ) -> Cluster:
        """A node that is not started yet, at a given address."""
        addresses = [seed.local.address if isinstance(seed, Cluster) else seed for seed in seeds]
        return Cluster(FAST, name=name, seeds=addresses, transport=self.network.transport(address), **changes)


class Leftovers:
    """What a loop and its process hold beyond what they held when this object was made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks = asyncio.all_tasks(loop)
        self._sockets = open_sockets()
        self._threads = set(threading.enumerate())

    async def check(self) -> None:
        """Fail if there is anything."""
        for _ in range(10):  # what closing has put off to later turns of the loop
            await asyncio.sleep(0)
        assert asyncio.all_tasks(self._loop) == self._tasks
        assert not self._timers()
        assert open_sockets() == self._sockets
        assert not self._new_threads()

    def _timers(self) -> list[asyncio.TimerHandle]:
        """Those that may still fire, but for datagrams on their way in memory; uvloop does not tell."""
        scheduled: list[Any] = getattr(self._loop, "_scheduled", [])
        return [
            timer
            for timer in scheduled
            if not timer.cancelled() and not isinstance(getattr(timer._callback, "__self__", None), MemoryNetwork)
        ]

    def _new_threads(self) -> set[str]:
        """Those of the loop's own pool, which looks names up, last as long as the loop."""
        threads = {thread.name for thread in set(threading.enumerate()) - self._threads}
        return {name for name in threads if not name.startswith("asyncio_")}


def in_memory(test: _Test[_Params]) -> Callable[_Params, None]:
    """Run a test on a clock that jumps from timer to timer, and see that it leaves nothing behind."""
    return _on_loop(VirtualClockLoop, test)


def in_real_time(test: _Test[_Params]) -> Callable[_Params, None]:
    """Run a test in real time, and see that it leaves nothing behind."""
    return _on_loop(asyncio.new_event_loop, test)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - whatever it looks at, nobody tells of a change
            await asyncio.sleep(0.01)


def _on_loop(make_loop: Callable[[], asyncio.AbstractEventLoop], test: _Test[_Params]) -> Callable[_Params, None]:
    @functools.wraps(test)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(_checked(test(*args, **kwargs)))

    return run


async def _checked(test: Coroutine[Any, Any, None]) -> None:
    leftovers = Leftovers(asyncio.get_running_loop())
    async with asyncio.timeout(PATIENCE) as patience:
        await test
        patience.reschedule(None)
        gc.collect()  # sockets and streams that nobody closed complain now
        await leftovers.check()


def waited_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, without an event loop."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_sockets() -> int:
    """How many sockets this process has open; 0 where the system does not tell."""
    if not _DESCRIPTORS.is_dir():
        return 0
    return sum(_is_socket(int(name)) for name in os.listdir(_DESCRIPTORS))


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # the one that listed the directory
        return False

"""User code that is cancelled, wherever it is, ends with that and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from shoal import Cluster, ShoalTimeoutError
from shoal.net.loops import loop_factory
from shoal.types import Address
from tests.clusters import FAST, PATIENCE, Lan, Leftovers
from tests.net.loops import VirtualClockLoop

QUICK = {"leave_timeout": 0.02, "join_timeout": 0.5}
NOBODY = Address("127.0.0.1", 1)

MakeNode = Callable[..., Cluster]
Scenario = Callable[[MakeNode, Cluster], Coroutine[Any, Any, None]]
"""What a user does beside a running peer."""


async def a_whole_life(make: MakeNode, peer: Cluster) -> None:
    async with make("a", seeds=[peer, NOBODY]) as a, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch(a))
        with a.events() as events:
            await a.wait_for_members(2)
            await a.set_tags({"role": "worker"})
            await a.broadcast(b"all")
            await peer.send("a", b"one")
            await anext(events)
            with suppress(ShoalTimeoutError):
                await a.wait_for_members(3, timeout=0.01)
            await a.join([NOBODY])
            await peer.broadcast(b"all")
            await anext(events)
        watching.cancel()


async def a_start_without_answers(make: MakeNode, _peer: Cluster) -> None:
    async with make("a", seeds=[NOBODY]):
        await asyncio.sleep(0.01)


async def a_life_by_hand(make: MakeNode, peer: Cluster) -> None:
    a = make("a", seeds=[peer])
    try:
        await a.start()
        await asyncio.gather(a.leave(), a.leave())
    finally:
        await a.close()


async def _watch(cluster: Cluster) -> None:
    async for _ in cluster.events():
        await asyncio.sleep(0)


class Canceller:
    """Cancels the task at one step, and if it is impatient again at each one after."""

    def __init__(self, at: int, *, is_impatient: bool) -> None:
        self.has_struck = False
        self._left = at
        self._is_impatient = is_impatient

    def step(self, task: asyncio.Task[None]) -> None:
        self._left -= 1
        if self._left == 0 or (self._left < 0 and self._is_impatient):
            self.has_struck |= task.cancel()


class StepLoop(asyncio.SelectorEventLoop):
    """Calls back before each of its steps."""

    def __init__(self, *args: Any) -> None:
        self.before_step: Callable[[], object] = lambda: None
        super().__init__(*args)

    def _run_once(self) -> None:
        self.before_step()
        super()._run_once()  # type: ignore[misc]


class VirtualStepLoop(StepLoop, VirtualClockLoop):
    """The same, on a clock that jumps."""


@pytest.mark.parametrize("is_impatient", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("scenario", [a_whole_life, a_start_without_answers, a_life_by_hand])
class TestNothingIsLeft:
    def test_after_a_cancellation_at_any_step_of_the_loop_in_memory(
        self, scenario: Scenario, is_impatient: bool
    ) -> None:
        def run(canceller: Canceller) -> None:
            lan = Lan()
            lan.network.delay = 0.002
            _run(VirtualStepLoop, _cancelled_by_the_loop(scenario, lan.node, canceller))

        _strike_everywhere(run, is_impatient)

    def test_after_a_cancellation_at_any_step_of_the_loop_over_sockets(
        self, scenario: Scenario, is_impatient: bool
    ) -> None:
        def run(canceller: Canceller) -> None:
            _run(StepLoop, _cancelled_by_the_loop(scenario, _node, canceller))

        _strike_everywhere(run, is_impatient)

    def test_after_a_cancellation_at_any_await_on_the_quickest_loop(
        self, scenario: Scenario, is_impatient: bool
    ) -> None:
        def run(canceller: Canceller) -> None:
            _run(loop_factory(), _cancelled_while_it_awaits(scenario, _node, canceller))

        _strike_everywhere(run, is_impatient)


def _strike_everywhere(run: Callable[[Canceller], None], is_impatient: bool) -> None:
    at = 0
    has_struck = True
    while has_struck:
        at += 1
        canceller = Canceller(at, is_impatient=is_impatient)
        run(canceller)
        has_struck = canceller.has_struck
    assert at > 2
    gc.collect()  # sockets and loops that nobody closed complain now


def _run(make_loop: Callable[[], asyncio.AbstractEventLoop] | None, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main)


def _node(name: str, *, seeds: Sequence[Cluster | Address] = (), **changes: Any) -> Cluster:
    addresses = [seed.local.address if isinstance(seed, Cluster) else seed for seed in seeds]
    return Cluster(FAST, name=name, seeds=addresses, **changes)


async def _cancelled_by_the_loop(scenario: Scenario, make: MakeNode, canceller: Canceller) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StepLoop)

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = loop.create_task(work)
        loop.before_step = lambda: canceller.step(task)
        return task

    await _beside_a_peer(scenario, make, canceller, begin)


async def _cancelled_while_it_awaits(scenario: Scenario, make: MakeNode, canceller: Canceller) -> None:
    loop = asyncio.get_running_loop()

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = loop.create_task(_observed(work, lambda: loop.call_soon(canceller.step, task)))
        return task

    await _beside_a_peer(scenario, make, canceller, begin)


async def _observed(work: Coroutine[Any, Any, None], on_await: Callable[[], object]) -> None:
    await _observe(work, on_await)


@types.coroutine
def _observe(work: Coroutine[Any, Any, None], on_await: Callable[[], object]) -> Generator[Any, Any, None]:
    """Do the work, and call back each time that it has begun to wait for something."""
    resume: Callable[[Any], Any] = work.send
    value: object = None
    while True:
        try:
            awaited = resume(value)
        except StopIteration:
            return
        on_await()
        try:
            value = yield awaited
            resume = work.send
        except BaseException as error:
            value, resume = error, work.throw


async def _beside_a_peer(
    scenario: Scenario,
    make: MakeNode,
    canceller: Canceller,
    begin: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
) -> None:
    leftovers = Leftovers(asyncio.get_running_loop())
    peer = make("peer")
    await peer.start()
    task = begin(scenario(lambda name, **changes: make(name, **changes, **QUICK), peer))
    await asyncio.wait([task], timeout=PATIENCE)
    if canceller.has_struck:
        assert task.cancelled(), f"the cancellation was swallowed: {task}"
    else:
        task.result()
    await peer.close()
    await leftovers.check()

"""What a process does to itself, as `Cluster` sees and tells it; on a clock that only the test moves on."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shoal import Cluster
from tests.clusters import Lan, in_memory
from tests.net.loops import VirtualClockLoop

SLOW: dict[str, Any] = {"probe_interval": 1.0, "probe_timeout": 0.5}


async def _pair(stack: AsyncExitStack) -> Cluster:
    lan = Lan()
    a = await stack.enter_async_context(lan.node("a", **SLOW))
    await stack.enter_async_context(lan.node("b", seeds=[a], **SLOW))
    await a.wait_for_members(2)
    lan.network.delay = 0.05  # so that a point lasts until the next answer
    return a


def _block(seconds: float) -> None:
    """As code that does not let the event loop turn."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    loop._virtual.now += seconds


def _told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    records = [record for record in caplog.records if getattr(record, "event", None) == "local_health_changed"]
    return [record for record in records if record.getMessage().startswith("a:")]


@in_memory
async def test_an_event_loop_that_is_blocked_costs_local_health_until_probes_are_answered() -> None:
    async with AsyncExitStack() as stack:
        a = await _pair(stack)
        await asyncio.sleep(5.0)
        assert a.health().local_health == 0
        for _ in range(3):
            _block(1.4)
            await asyncio.sleep(0.01)
        health = a.health()
        assert "event_loop_lag" in health.local_health_points
        assert health.local_health == len(health.local_health_points)
        assert health.local_health_reasons["event_loop_lag"] > 0
        await asyncio.sleep(30.0)
        assert a.health().local_health_points == ()
        assert a.health().local_health_reasons == health.local_health_reasons


@in_memory
async def test_a_long_garbage_collection_costs_local_health() -> None:
    async with AsyncExitStack() as stack:
        a = await _pair(stack)

        def collect_slowly(phase: str, _info: dict[str, int]) -> None:
            _block(1.4 if phase == "stop" else 0.0)

        gc.callbacks.insert(0, collect_slowly)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(collect_slowly)
        await asyncio.sleep(0.01)
        assert a.health().local_health_points[0] == "gc_pause"


def test_changes_are_logged_but_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shoal.cluster")

    @in_memory
    async def run() -> None:
        async with AsyncExitStack() as stack:
            await _pair(stack)
            for _ in range(6):
                _block(1.4)
                await asyncio.sleep(0.5)
            assert len(_told(caplog)) <= 2
            await asyncio.sleep(30.0)

    run()

    first, *_, last = _told(caplog)
    assert (first.levelname, last.levelname) == ("WARNING", "INFO")
    assert "local health is 1 after 0 (0 is best): event_loop_lag 1; probes take 2 times as long" in first.getMessage()
    assert "local health is 0 after" in last.getMessage()


@in_memory
async def test_a_closed_node_measures_nothing() -> None:
    before = list(gc.callbacks)
    async with AsyncExitStack() as stack:
        await _pair(stack)
        assert len(gc.callbacks) == len(before) + 2
    assert gc.callbacks == before

"""A close watch on one member, in memory on a clock that jumps, and over loopback."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shoal import Cluster, MemberState
from shoal.errors import AlreadyStartedError, ConfigError, NotStartedError, UnknownMemberError
from shoal.health import PhiDetector, Reading, watch
from tests.clusters import FAST, Lan, in_memory, in_real_time, until

CALM: dict[str, Any] = {"probe_interval": 60.0, "probe_timeout": 30.0}
"""The failure detector says nothing within a test."""
FAR = 0.1
"""Seconds that a datagram takes, for a test of the round trip."""


async def _pair(stack: AsyncExitStack, lan: Lan) -> tuple[Cluster, Cluster]:
    a = await stack.enter_async_context(lan.node("a", **CALM))
    b = await stack.enter_async_context(lan.node("b", seeds=[a], **CALM))
    await a.wait_for_members(2)
    return a, b


async def _readings(readings: object, count: int) -> list[Reading]:
    return [await anext(readings) for _ in range(count)]  # type: ignore[call-overload]


@in_memory
async def test_phi_stays_low_while_answers_come_and_rises_quickly_when_they_do_not() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b = await _pair(stack, lan)
        async with watch(a, "b", interval=0.2) as watched:
            well = await _readings(watched, 50)
            lan.network.partition([[a.local.address], [b.local.address]])
            silent = await _readings(watched, 4)
        assert all(reading.phi < 1 for reading in well)
        assert [reading.phi > 8 for reading in silent] == [False, False, True, True]
        assert silent[-1].elapsed == pytest.approx(0.8, abs=0.01)


@in_memory
async def test_phi_falls_again_when_the_member_is_heard_again() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b = await _pair(stack, lan)
        async with watch(a, b.local.id) as watched:
            await _readings(watched, 5)
            lan.network.partition([[a.local.address], [b.local.address]])
            await _readings(watched, 20)
            lan.network.heal()
            await _readings(watched, 2)
            assert watched.phi < 1


@in_memory
async def test_a_watch_writes_no_verdict() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b = await _pair(stack, lan)
        lan.network.partition([[a.local.address], [b.local.address]])
        async with watch(a, "b") as watched:
            await _readings(watched, 20)
            assert watched.phi > 8
        found = a.member("b")
        assert found is not None
        assert found.state is MemberState.ALIVE
        assert a.health().local_health == 0
        assert a.evidence("b") == ()


@in_memory
async def test_a_member_that_never_answers_becomes_suspicious_too() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b = await _pair(stack, lan)
        lan.network.partition([[a.local.address], [b.local.address]])
        async with watch(a, "b") as watched:
            last = (await _readings(watched, 3))[-1]
        assert last.phi > 8
        assert last.round_trip is None


@in_memory
async def test_the_round_trip_is_told() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, _ = await _pair(stack, lan)
        lan.network.delay = FAR
        async with watch(a, "b", interval=1.0) as watched:
            reading = await anext(watched)
        assert reading.round_trip == pytest.approx(2 * FAR)


@in_memory
async def test_a_slow_reader_gets_the_newest_reading_and_nothing_piles_up() -> None:
    async with AsyncExitStack() as stack:
        a, _ = await _pair(stack, Lan())
        async with watch(a, "b", interval=0.2) as watched:
            await asyncio.sleep(20.05)
            reading = await anext(watched)
            assert reading.at == pytest.approx(a.now())
            assert len(watched._open) <= 2
            before = a.now()
            await anext(watched)
            assert a.now() > before


@in_memory
async def test_silence_of_this_process_does_not_count_against_the_member(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        a, _ = await _pair(stack, Lan())
        loop = asyncio.get_running_loop()
        async with watch(a, "b", interval=0.2) as watched:
            await _readings(watched, 10)
            real, slept = loop.time, 10.0
            monkeypatch.setattr(loop, "time", lambda: real() + slept)
            reading = await anext(watched)
        assert reading.phi < 8
        assert reading.elapsed < 1


@in_memory
async def test_a_watch_ends_with_the_cluster() -> None:
    async with AsyncExitStack() as stack:
        a, _ = await _pair(stack, Lan())
        async with watch(a, "b") as watched:
            await a.close()
            assert [reading async for reading in watched] == []


@in_memory
async def test_a_watch_ends_when_the_member_is_forgotten() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a = await stack.enter_async_context(lan.node("a", tombstone_life=5.0))
        b = await stack.enter_async_context(lan.node("b", seeds=[a]))
        await a.wait_for_members(2)
        async with watch(a, "b") as watched:
            await b.leave()
            await b.close()
            async for reading in watched:
                assert reading.phi >= 0
        assert a.member("b") is None


@in_memory
async def test_a_wrong_use_is_refused_in_words() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b = await _pair(stack, lan)
        with pytest.raises(UnknownMemberError, match="nobody"):
            watch(a, "nobody")
        with pytest.raises(UnknownMemberError, match="to itself"):
            await watch(a, a.local).__aenter__()
        for interval in (0.0, 61.0):
            with pytest.raises(ConfigError, match="interval"):
                watch(a, "b", interval=interval)
        watched = watch(a, b.local)
        with pytest.raises(NotStartedError, match="async with"):
            await anext(watched)
        async with watched:
            with pytest.raises(AlreadyStartedError):
                await watched.__aenter__()
        with pytest.raises(NotStartedError):
            watch(lan.node("c"), "b")


@in_real_time
async def test_a_killed_member_is_noticed_over_real_sockets() -> None:
    a, b = Cluster(FAST, name="a", **CALM), Cluster(FAST, name="b", **CALM)
    async with a:
        await b.start()
        await b.join([a.local.address])
        await a.wait_for_members(2)
        patient = PhiDetector(0.02, least_deviation=0.02, threshold=12.0)
        async with watch(a, "b", interval=0.02, detector=patient) as watched:
            await until(lambda: watched.reading.round_trip is not None)
            began = time.monotonic()
            await b.close()
            async for reading in watched:
                if reading.phi > patient.threshold:
                    break
            assert time.monotonic() > began
            found = a.member("b")
            assert found is not None
            assert found.state is MemberState.ALIVE

"""`Cluster.stall`: code that blocks a process, announced to its peers; in memory, and over loopback from a thread."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from shoal import Cluster, MemberState, Readiness, blocking
from shoal.errors import ClosedError, ConfigError, LifecycleError
from shoal.events import MemberFailed, MemberReadinessChanged, MemberSuspected, ViewChanged
from tests.clusters import FAST, Lan, in_memory, until, waited_for


async def _trio(stack: AsyncExitStack, lan: Lan) -> tuple[Cluster, Cluster, Cluster]:
    a = await stack.enter_async_context(lan.node("a"))
    b = await stack.enter_async_context(lan.node("b", seeds=[a]))
    c = await stack.enter_async_context(lan.node("c", seeds=[a]))
    for node in (a, b, c):
        await node.wait_for_members(3)
    return a, b, c


def _sees_stalled(observer: Cluster, name: str) -> bool:
    member = observer.member(name)
    assert member is not None
    return member.readiness is Readiness.STALLED


@in_memory
async def test_peers_know_of_a_stall_before_its_block_is_entered_and_of_its_end_soon_after() -> None:
    async with AsyncExitStack() as stack:
        a, b, c = await _trio(stack, Lan())
        async with a.stall("loading weights", at_most=30.0):
            assert _sees_stalled(a, "a")
            assert _sees_stalled(b, "a")
            assert _sees_stalled(c, "a")
        assert not _sees_stalled(a, "a")
        await until(lambda: not _sees_stalled(b, "a") and not _sees_stalled(c, "a"))


@in_memory
async def test_a_node_that_cannot_answer_is_neither_suspected_nor_dead_until_its_stall_is_over() -> None:
    async with AsyncExitStack() as stack:
        lan = Lan()
        a, b, c = await _trio(stack, lan)
        with b.events() as events:
            async with a.stall("compiling", at_most=20.0):
                lan.network.partition([[a.local.address], [b.local.address, c.local.address]])
                await asyncio.sleep(19.0)
                assert {member.name for member in b.members(*Readiness)} == {"a", "b", "c"}
                await until(lambda: b.health().counts[MemberState.DEAD] == 1)
                lan.network.heal()
            seen = [event for event in iter(events.take, None) if not isinstance(event, ViewChanged)]
        changed = MemberReadinessChanged
        assert [type(event) for event in seen] == [changed, changed, MemberSuspected, MemberFailed]


@in_memory
async def test_the_declaration_is_taken_back_even_if_the_block_fails() -> None:
    async with AsyncExitStack() as stack:
        a, *_ = await _trio(stack, Lan())
        with pytest.raises(ValueError, match="no such model"):
            async with a.stall("loading weights", at_most=30.0):
                raise ValueError("no such model")
        assert not _sees_stalled(a, "a")


@in_memory
async def test_a_node_may_close_within_its_stall() -> None:
    lan = Lan()
    a = lan.node("a")
    await a.start()
    async with a.stall("loading weights", at_most=30.0):
        await a.close()
    with pytest.raises(ClosedError):
        await a.declare_stall("again", at_most=1.0)


@in_memory
async def test_a_stall_beyond_the_limit_is_refused_before_the_block() -> None:
    async with Lan().node("a", max_stall=10.0) as a:
        with pytest.raises(ConfigError, match=r"at_most = 11.0: must be 0 to 10.0 seconds \(max_stall\)"):
            async with a.stall("loading weights", at_most=11.0):
                raise AssertionError("entered")


@in_memory
async def test_a_stall_whose_length_is_no_number_is_refused_by_its_name() -> None:
    async with Lan().node("a") as a:
        with pytest.raises(ConfigError, match=r"at_most = '9': must be 0 to 600.0 seconds"):
            async with a.stall("loading weights", at_most="9"):  # type: ignore[arg-type]
                raise AssertionError("entered")


@in_memory
async def test_a_plain_with_is_told_what_to_write_instead() -> None:
    async with Lan().node("a") as a:
        with (
            pytest.raises(LifecycleError, match=r"use 'async with', or shoal\.blocking"),
            a.stall("loading weights", at_most=9.0),  # type: ignore[attr-defined]
        ):
            raise AssertionError("entered")
        assert not _sees_stalled(a, "a")


def test_a_stall_is_declared_from_a_thread_too() -> None:
    with (
        blocking.Cluster(FAST, name="a") as a,
        blocking.Cluster(FAST, name="b", seeds=[a.local.address]) as b,
    ):
        a.wait_for_members(2)
        with a.stall("loading weights", at_most=30.0):
            waited_for(lambda: b.members(Readiness.STALLED))
        waited_for(lambda: not b.members(Readiness.STALLED))

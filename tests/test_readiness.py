"""Readiness, as users of `Cluster` see it: who wants work, apart from who is alive."""

from __future__ import annotations

import asyncio

import pytest

from shoal import Cluster, MemberState, Readiness, blocking
from shoal.errors import ClosedError
from shoal.events import MemberReadinessChanged
from tests.clusters import FAST, Lan, in_memory, until, waited_for

READY, DRAINING, STALLED = Readiness


async def _pair(lan: Lan) -> tuple[Cluster, Cluster]:
    a = lan.node("a")
    await a.start()
    b = lan.node("b", seeds=[a], tags={"role": "worker"})
    await b.start()
    await a.wait_for_members(2)
    await b.wait_for_members(2)
    return a, b


def _readiness_of(observer: Cluster, name: str) -> Readiness | None:
    member = observer.member(name)
    return None if member is None else member.readiness


@in_memory
async def test_a_draining_member_stays_alive_and_is_left_out_unless_it_is_asked_for() -> None:
    a, b = await _pair(Lan())
    with a.events() as events:
        await b.drain()
        change = await anext(events)
    assert change == MemberReadinessChanged(a.member("b"), READY)  # type: ignore[arg-type]
    assert [member.name for member in a.members()] == ["a"]
    assert a.members(role="worker") == ()
    assert [member.name for member in a.members(DRAINING, role="worker")] == ["b"]
    assert {member.name for member in a.members(*Readiness)} == {"a", "b"}
    assert a.health().counts[MemberState.ALIVE] == 2
    await b.set_readiness(READY)
    await until(lambda: len(a.members()) == 2)
    await a.close()
    await b.close()


@in_memory
async def test_every_peer_knows_of_it_when_draining_returns() -> None:
    lan = Lan()
    a, b = await _pair(lan)
    others = [lan.node(f"n{number}", seeds=[a]) for number in range(8)]
    for node in others:
        await node.start()
    await b.wait_for_members(10)
    await b.drain()
    assert {_readiness_of(node, "b") for node in (a, b, *others)} == {DRAINING}
    for node in (a, b, *others):
        await node.close()


@in_memory
async def test_a_node_may_call_itself_stalled_without_end_and_health_says_so() -> None:
    a, b = await _pair(Lan())
    await b.set_readiness(STALLED)
    assert b.health().readiness is STALLED
    assert _readiness_of(a, "b") is STALLED
    await a.close()
    await b.close()


@in_memory
async def test_draining_ends_with_its_time_where_nobody_listens_and_with_the_node() -> None:
    lan = Lan()
    a, b = await _pair(lan)
    lan.network.partition([[a.local.address], [b.local.address]])
    began = a.now()
    draining = asyncio.create_task(a.drain())
    await asyncio.sleep(0.01)
    assert a.local.readiness is DRAINING
    await a.close()
    await draining
    assert asyncio.get_running_loop().time() - began < FAST.leave_timeout
    await b.close()


@in_memory
async def test_whoever_has_left_publishes_nothing() -> None:
    async with Lan().node("a") as a:
        await a.leave()
        with pytest.raises(ClosedError, match="readiness"):
            await a.drain()


def test_a_thread_drains_its_node_too() -> None:
    with (
        blocking.Cluster(FAST, name="a") as a,
        blocking.Cluster(FAST, name="b", seeds=[a.local.address]) as b,
    ):
        a.wait_for_members(2)
        b.drain()
        waited_for(lambda: [member.name for member in a.members()] == ["a"])
        assert [member.name for member in a.members(DRAINING)] == ["b"]
        b.set_readiness(READY)
        waited_for(lambda: len(a.members()) == 2)

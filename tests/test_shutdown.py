"""How a node ends: in phases, whoever ends it and however, and with a report."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from contextlib import suppress
from typing import Any

import pytest

from shoal import Cluster, MemberState, blocking
from shoal.errors import ClosedError
from shoal.events import MemberFailed, MemberLeft
from shoal.health import watch
from shoal.net.memory import MemoryTransport
from shoal.shutdown import Outcome, Shutdown, ShutdownPhase, ShutdownReport
from tests.clusters import FAST, Lan, in_memory, open_sockets, until, waited_for

DONE, SKIPPED, TIMED_OUT, FAILED, CUT_SHORT = Outcome


def _report(cluster: Cluster) -> ShutdownReport | None:
    return cluster.shutdown_report


def _outcomes(report: ShutdownReport | None) -> dict[str, Outcome]:
    assert report is not None
    return {str(one.phase): one.outcome for one in report.phases}


def _drop(nodes: list[Any]) -> None:
    """Hold nodes no longer."""
    nodes.clear()
    gc.collect()


ALL_DONE = dict.fromkeys(map(str, ShutdownPhase), DONE) | {"state": SKIPPED}


async def _pair(lan: Lan) -> tuple[Cluster, Cluster]:
    a = lan.node("a")
    await a.start()
    b = lan.node("b", seeds=[a])
    await b.start()
    await a.wait_for_members(2)
    return a, b


class TestPhases:
    def test_they_are_those_of_the_guide_in_that_order(self) -> None:
        assert [*ShutdownPhase] == ["leave", "protocol", "companions", "state", "connections", "table", "events"]

    @in_memory
    async def test_a_block_that_ends_reports_them_all(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "shoal.cluster")
        a = Lan().node("a")
        async with a:
            assert _report(a) is None
        assert list(_outcomes(_report(a)).items()) == list(ALL_DONE.items())
        (line,) = [record for record in caplog.records if getattr(record, "event", "") == "node_closed"]
        assert (line.levelno, line.phases) == (logging.INFO, ALL_DONE)  # type: ignore[attr-defined]

    @in_memory
    async def test_an_end_without_a_goodbye_says_so(self) -> None:
        a = Lan().node("a")
        await a.start()
        assert _outcomes(await a.close()) == ALL_DONE | {"leave": SKIPPED}

    @in_memory
    async def test_a_goodbye_that_cannot_spread_is_given_up_in_its_time(self, caplog: pytest.LogCaptureFixture) -> None:
        a, b = await _pair(Lan())
        quiet = Lan()
        c = quiet.node("c", gossip_fanout=0, probe_interval=60.0, leave_timeout=3.0)
        await c.start()
        d = quiet.node("d", seeds=[c], probe_interval=60.0)
        await d.start()
        await c.leave()
        report = await c.close()
        assert report[ShutdownPhase.LEAVE].outcome is TIMED_OUT
        assert report[ShutdownPhase.LEAVE].seconds == pytest.approx(3.0)
        assert not report.is_clean
        assert any(
            record.levelno == logging.WARNING and "leave timed out" in record.getMessage() for record in caplog.records
        )
        for node in (a, b, d):
            await node.close()

    @in_memory
    async def test_connections_that_do_not_close_hold_up_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a = Lan().node("a")
        await a.start()
        close = MemoryTransport.close

        async def slow(transport: MemoryTransport) -> None:
            await close(transport)
            await asyncio.sleep(3600)

        monkeypatch.setattr(MemoryTransport, "close", slow)
        began = a.now()
        with a.events() as events:
            report = await a.close()
            assert await anext(events, None) is None
        assert _outcomes(report) == ALL_DONE | {"leave": SKIPPED, "connections": TIMED_OUT}
        assert a.now() - began == pytest.approx(2.0, abs=0.1)

    @in_memory
    async def test_the_table_is_given_back_and_its_values_stay(self) -> None:
        a, b = await _pair(Lan())
        before = a.all_members(), a.member("b"), a.evidence("b"), a.stats().keys()
        await a.close()
        assert (a.all_members(), a.member("b"), a.evidence("b"), a.stats().keys()) == before
        assert a.member(b.local.id) == a.member("b")
        assert not a.health().is_running
        assert a._running is None
        await b.close()

    @in_memory
    async def test_nothing_is_answered_once_the_protocol_has_ended(self) -> None:
        a, b = await _pair(Lan())
        with b.events() as events:
            await a.close()
            async for event in events:
                if isinstance(event, MemberFailed):
                    break
        await b.close()


class _Companion:
    def __init__(self, problem: BaseException | None = None, seconds: float = 0.0) -> None:
        self.stopped = 0
        self._problem = problem
        self._seconds = seconds

    async def stop(self) -> None:
        self.stopped += 1
        await asyncio.sleep(self._seconds)
        if self._problem is not None:
            raise self._problem


class TestCompanions:
    @in_memory
    async def test_a_watch_ends_with_the_node(self) -> None:
        a, b = await _pair(Lan())
        async with watch(a, "b") as b_seen:
            report = await a.close()
            assert [reading async for reading in b_seen][1:] == []
        assert report[ShutdownPhase.COMPANIONS].outcome is DONE
        await b.close()

    @in_memory
    async def test_one_that_does_not_end_is_left_behind(self) -> None:
        a = Lan().node("a")
        await a.start()
        quick, slow, gone = _Companion(), _Companion(seconds=3600), _Companion()
        for companion in (quick, slow, gone):
            a.attach(companion)
        a.detach(gone)
        assert _outcomes(await a.close()) == ALL_DONE | {"leave": SKIPPED, "companions": TIMED_OUT}
        assert (quick.stopped, slow.stopped, gone.stopped) == (1, 1, 0)

    @in_memory
    async def test_one_that_fails_is_told_and_holds_up_nothing(self) -> None:
        a = Lan().node("a")
        await a.start()
        a.attach(_Companion(ValueError("no")))
        report = await a.close()
        assert report[ShutdownPhase.COMPANIONS].outcome is FAILED
        assert "ValueError('no')" in report[ShutdownPhase.COMPANIONS].problem
        assert report[ShutdownPhase.EVENTS].outcome is DONE


class TestWhoeverEndsIt:
    @in_memory
    async def test_all_who_close_get_one_report(self) -> None:
        a = Lan().node("a")
        await a.start()
        first, second = await asyncio.gather(a.close(), a.close())
        assert first is second is await a.close() is a.shutdown_report

    @in_memory
    async def test_closing_before_a_start_skips_what_there_was_not(self) -> None:
        a = Lan().node("a")
        assert _outcomes(await a.close()) == dict.fromkeys(map(str, ShutdownPhase), SKIPPED) | {"events": DONE}

    @in_memory
    async def test_a_close_that_is_cancelled_has_done_it_all(self) -> None:
        a = Lan().node("a")
        await a.start()
        a.attach(_Companion(seconds=3600))
        closing = asyncio.create_task(a.close())
        await asyncio.sleep(0.1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert _outcomes(await a.close()) == ALL_DONE | {"leave": SKIPPED, "companions": CUT_SHORT}

    def test_an_event_loop_that_ends_takes_its_node_along_with_a_goodbye(self) -> None:
        sockets = open_sockets()
        held: list[Cluster] = []

        async def main(seed: str) -> None:
            node = Cluster(FAST, name="b", seeds=[seed])
            await node.start()
            await node.wait_for_members(2)
            held.append(node)

        with blocking.Cluster(FAST, name="a") as a, a.events() as events:
            asyncio.run(main(str(a.local.address)))
            assert any(isinstance(event, MemberLeft) for event in events)
        assert _outcomes(held[0].shutdown_report) == ALL_DONE
        assert open_sockets() == sockets
        with pytest.raises(ClosedError):
            held[0].events()

    @in_memory
    async def test_a_node_that_is_dropped_warns_frees_its_sockets_and_looks_like_a_crash(self) -> None:
        lan = Lan()
        a, b = await _pair(lan)
        address = b.local.address
        nodes = [b]
        del b
        with pytest.warns(ResourceWarning, match="the node b was dropped without close"):
            _drop(nodes)
        await until(lambda: address not in lan.network._transports)
        await until(lambda: a.health().counts[MemberState.DEAD] == 1)
        await a.close()

    def test_a_node_dropped_after_its_loop_harms_nobody(self) -> None:
        loop = asyncio.new_event_loop()
        nodes = [Lan().node("a")]
        loop.run_until_complete(nodes[0].start())
        loop.close()
        with pytest.warns(ResourceWarning, match="the node a was dropped"):
            _drop(nodes)

    def test_a_thread_whose_node_is_dropped_ends(self) -> None:
        sockets, threads = open_sockets(), set(threading.enumerate())
        nodes = [blocking.Cluster(FAST, name="a")]
        nodes[0].start()
        with pytest.warns(ResourceWarning, match="the node a was dropped"):
            _drop(nodes)
        waited_for(lambda: set(threading.enumerate()) <= threads)
        assert open_sockets() == sockets

    def test_a_thread_gets_the_report_too(self) -> None:
        with blocking.Cluster(FAST, name="a") as a:
            pass
        assert _outcomes(a.close()) == ALL_DONE
        assert blocking.Cluster(FAST).close() is None


class TestShutdown:
    @in_memory
    async def test_a_cancellation_waits_for_the_report_and_then_passes(self) -> None:
        shutdown = Shutdown()

        async def all_of_it() -> ShutdownReport:
            await shutdown.run(ShutdownPhase.PROTOCOL, lambda: asyncio.sleep(60), 120)
            await shutdown.run(ShutdownPhase.COMPANIONS, lambda: asyncio.sleep(0), 1)
            return shutdown.report()

        running = asyncio.create_task(all_of_it())
        await asyncio.sleep(1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert running.cancelled()
        report = shutdown.report()
        assert (report[ShutdownPhase.PROTOCOL].outcome, report[ShutdownPhase.COMPANIONS].outcome) == (CUT_SHORT, DONE)
        assert "protocol cut short, companions done" in str(report)

"""Event streams are independent, bounded, and honest about what they lost."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from shoal.errors import ClosedError, LifecycleError
from shoal.events import BroadcastReceived, Event, EventsLost
from shoal.net.loops import OwnLoop
from shoal.subscription import Subscription, Subscriptions
from shoal.types import NodeId
from tests.clusters import Lan, in_memory, in_real_time

LIMIT = 4


def event(number: int) -> Event:
    return BroadcastReceived(NodeId(bytes(16)), str(number).encode())


def events(*numbers: int) -> list[Event]:
    return [event(number) for number in numbers]


@pytest.fixture
def subscriptions() -> Subscriptions:
    return Subscriptions(LIMIT, OwnLoop())


def waiting(subscription: Subscription) -> list[Event]:
    return list(iter(subscription.take, None))


class TestOneStream:
    @in_memory
    async def test_events_come_in_order_and_end_with_the_stream(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        subscription = subscriptions.subscribe()
        reader = asyncio.create_task(_listed(subscription))
        subscriptions.push(events(1, 2))
        await asyncio.sleep(0)
        subscriptions.push(events(3))
        subscription.close()
        subscriptions.push(events(4))
        assert await reader == events(1, 2, 3)

    def test_only_what_happens_after_the_subscription_is_seen(self, subscriptions: Subscriptions) -> None:
        early = subscriptions.subscribe()
        subscriptions.push(events(1))
        late = subscriptions.subscribe()
        subscriptions.push(events(2))
        assert (waiting(early), waiting(late)) == (events(1, 2), events(2))

    @pytest.mark.parametrize("batches", [[1] * 11, [11], [5, 6], [2, 9], [4, 4, 3]], ids=str)
    def test_a_slow_reader_keeps_the_newest_and_is_told_how_many_it_lost(
        self, subscriptions: Subscriptions, batches: list[int]
    ) -> None:
        slow = subscriptions.subscribe()
        numbers = iter(range(11))
        for size in batches:
            subscriptions.push([event(next(numbers)) for _ in range(size)])
        assert waiting(slow) == [EventsLost(7), *events(7, 8, 9, 10)]

    def test_every_gap_is_told_once(self, subscriptions: Subscriptions) -> None:
        slow = subscriptions.subscribe()
        subscriptions.push(events(1, 2, 3, 4, 5))
        assert slow.take() == EventsLost(1)
        assert slow.take() == event(2)
        subscriptions.push(events(6, 7, 8))
        assert waiting(slow) == [EventsLost(2), *events(5, 6, 7, 8)]

    def test_a_full_stream_has_lost_nothing(self, subscriptions: Subscriptions) -> None:
        full = subscriptions.subscribe()
        subscriptions.push(events(1, 2, 3, 4))
        assert waiting(full) == events(1, 2, 3, 4)

    @in_memory
    async def test_what_waits_is_still_read_after_the_close_the_loss_too(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        with subscriptions.subscribe() as subscription:
            subscriptions.push(events(1, 2, 3, 4, 5))
        subscription.close()
        assert await _listed(subscription) == [EventsLost(1), *events(2, 3, 4, 5)]

    @in_memory
    async def test_a_wait_that_is_given_up_loses_nothing(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        subscription = subscriptions.subscribe()
        reader = asyncio.create_task(_next(subscription))
        await asyncio.sleep(0)
        subscriptions.push(events(1))
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await anext(subscription) == event(1)

    @in_memory
    async def test_two_readers_of_one_stream_are_refused(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        subscription = subscriptions.subscribe()
        reader = asyncio.create_task(_next(subscription))
        await asyncio.sleep(0)
        with pytest.raises(LifecycleError, match="another task"):
            await anext(subscription)
        subscriptions.push(events(1))
        assert await reader == event(1)


class TestManyStreams:
    def test_a_slow_reader_does_not_hurt_the_others(self, subscriptions: Subscriptions) -> None:
        slow, quick = subscriptions.subscribe(), subscriptions.subscribe()
        seen: list[Event] = []
        for number in range(20):
            subscriptions.push(events(number))
            seen += waiting(quick)
        assert seen == events(*range(20))
        assert waiting(slow)[0] == EventsLost(16)

    def test_a_stream_nobody_holds_is_forgotten(self, subscriptions: Subscriptions) -> None:
        dropped, kept = subscriptions.subscribe(), subscriptions.subscribe()
        trace = weakref.ref(dropped)
        subscriptions.push(events(1))
        del dropped
        gc.collect()
        assert trace() is None
        assert len(subscriptions) == 1
        subscriptions.push(events(2))
        assert waiting(kept) == events(1, 2)

    def test_a_closed_stream_is_not_listed(self, subscriptions: Subscriptions) -> None:
        with subscriptions.subscribe():
            assert len(subscriptions) == 1
        assert len(subscriptions) == 0

    @in_memory
    async def test_a_loop_that_was_left_is_forgotten(self) -> None:
        async with Lan().node("a") as a:
            await a.set_tags({"load": "1"})

            async def first() -> Event:
                stream = a.events()
                await a.update_tags({"load": "2"})
                async for event in stream:
                    return event
                raise AssertionError

            await first()
            gc.collect()
            assert a.health().subscribers == 0

    @in_memory
    async def test_a_stream_is_forgotten_after_a_wait_that_was_given_up(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        subscription = subscriptions.subscribe()
        trace = weakref.ref(subscription)
        reader = asyncio.create_task(_next(subscription))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        del reader, subscription
        gc.collect()
        assert trace() is None

    @in_memory
    async def test_a_task_that_nothing_but_its_wait_holds_goes_on_waiting(self) -> None:
        async with Lan().node("a") as a:
            seen: list[Event] = []

            async def watch() -> None:
                async for event in a.events():
                    seen.append(event)  # noqa: PERF401 - it is looked at meanwhile

            asyncio.get_running_loop().call_soon(_start_and_forget, watch())
            await asyncio.sleep(1)
            gc.collect()
            await a.set_tags({"load": "1"})
            await asyncio.sleep(1)
            assert len(seen) == 1

    @in_memory
    async def test_a_reader_that_crashes_hurts_nobody(self) -> None:
        lan = Lan()
        async with lan.node("a") as a, lan.node("b", seeds=[a]) as b:

            async def crash() -> None:
                async for event in b.events():
                    raise ZeroDivisionError(event)

            crasher, reader = asyncio.create_task(crash()), b.events()
            await asyncio.sleep(0)
            for number in range(5):
                await a.broadcast(str(number).encode())
                await asyncio.sleep(1)
            with pytest.raises(ZeroDivisionError):
                await crasher
            got = {event.payload for event in waiting(reader) if isinstance(event, BroadcastReceived)}
            assert got == {b"0", b"1", b"2", b"3", b"4"}

    @in_memory
    async def test_streams_of_a_node_have_the_configured_bound(self) -> None:
        async with Lan().node("a", event_buffer=2) as a:
            stream = a.events()
            for number in range(5):
                await a.set_tags({"load": str(number)})
            lost, *rest = waiting(stream)
            assert lost == EventsLost(3)
            assert len(rest) == 2

    @in_memory
    async def test_a_stream_opened_before_the_start_misses_nothing(self) -> None:
        lan = Lan()
        async with lan.node("b") as b:
            a = lan.node("a", seeds=[b])
            stream = a.events()
            first = asyncio.create_task(_next(stream))
            await asyncio.sleep(0)
            async with a:
                pass
            names = [type(event).__name__ for event in [await first, *waiting(stream)]]
            assert names[:2] == ["MemberJoined", "JoinCompleted"]
            with pytest.raises(ClosedError):
                a.events()

    @in_real_time
    async def test_streams_may_be_opened_and_dropped_on_any_thread(self) -> None:
        subscriptions = Subscriptions(LIMIT, OwnLoop())
        kept = [subscriptions.subscribe() for _ in range(100)]
        done = threading.Event()
        threads = [threading.Thread(target=_open_and_drop, args=(subscriptions, done)) for _ in range(3)]
        for thread in threads:
            thread.start()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # threads meet more often
        try:
            for number in range(2000):
                subscriptions.push(events(number))
        finally:
            sys.setswitchinterval(interval)
            done.set()
            for thread in threads:
                thread.join()
        for stream in kept:
            assert waiting(stream) == [EventsLost(1996), *events(1996, 1997, 1998, 1999)]
        gc.collect()
        assert len(subscriptions) == len(kept)

    def test_after_the_end_new_streams_have_ended_too(self, subscriptions: Subscriptions) -> None:
        subscriptions.close()
        subscriptions.close()

        assert asyncio.run(_listed(subscriptions.subscribe())) == []


def _start_and_forget(work: Any) -> None:
    asyncio.get_running_loop().create_task(work)


def _open_and_drop(subscriptions: Subscriptions, done: threading.Event) -> None:
    while not done.is_set():
        held = [subscriptions.subscribe() for _ in range(10)]
        for subscription in held[::2]:
            subscription.close()


async def _next(subscription: Subscription) -> Event:
    return await anext(subscription)


async def _listed(subscription: Subscription) -> list[Event]:
    return [event async for event in subscription]

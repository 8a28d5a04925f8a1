"""Independent, bounded streams of events, one per subscriber."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from weakref import ref

from shoal.errors import LifecycleError
from shoal.events import Event, EventsLost
from shoal.net.loops import OwnLoop

__all__ = ["Subscription", "Subscriptions"]


class Subscription:
    """An async iterator over the events since it was made; ends when the cluster closes or `close` is called.

    A subscriber that is too slow loses the oldest events and is told by `EventsLost`; the others are not affected. One
    task at a time may iterate, on the cluster's event loop; `LifecycleError` says so.
    """

    def __init__(self, limit: int, registry: Subscriptions) -> None:
        self._limit = limit
        self._registry = registry
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._is_closed = False
        self._wake: asyncio.Future[None] | None = None

    def push(self, events: Sequence[Event]) -> None:
        """Add events; called on the event loop's thread."""
        if self._is_closed:
            return
        self._waiting.extend(events)
        while len(self._waiting) > self._limit:
            self._waiting.popleft()
            self._lost += 1
        self._notify()

    def take(self) -> Event | None:
        """The next event if one is waiting."""
        if self._lost:
            lost, self._lost = self._lost, 0
            return EventsLost(lost)
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """End the iteration after what is waiting; may be called again."""
        self._is_closed = True
        self._registry.forget(self)
        self._notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while (event := self.take()) is None:
            if self._is_closed:
                raise StopAsyncIteration
            await self._something()
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _something(self) -> None:
        if self._wake is not None:
            raise LifecycleError("another task iterates over this subscription; make one of your own with events()")
        self._wake = self._registry.own_loop.check().create_future()
        self._registry.awaited.add(self)
        try:
            await self._wake
        finally:
            self._registry.awaited.discard(self)
            self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Subscriptions:
    """The open subscriptions of one node.

    One that its reader has dropped is forgotten. One that a task waits on is kept, or else the task, which nothing but
    its wait may hold, would be dropped with it.
    """

    def __init__(self, limit: int, own_loop: OwnLoop) -> None:
        self.own_loop = own_loop
        self.awaited: set[Subscription] = set()
        self._limit = limit
        self._open: set[ref[Subscription]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._open)

    def subscribe(self) -> Subscription:
        """A new one; may be called from any thread."""
        subscription = Subscription(self._limit, self)
        self._open.add(ref(subscription, self._open.discard))
        if self._is_closed:
            subscription.close()
        return subscription

    def push(self, events: Sequence[Event]) -> None:
        """Add events to all; called on the event loop's thread."""
        for subscription in self._alive():
            subscription.push(events)

    def close(self) -> None:
        """Close all, those to come too; may be called again."""
        self._is_closed = True
        for subscription in self._alive():
            subscription.close()

    def forget(self, subscription: Subscription) -> None:
        """A subscription was closed."""
        self._open.discard(ref(subscription))

    def _alive(self) -> list[Subscription]:
        # A copy, made in one step: other threads subscribe at any time, and the garbage collector takes out what ended.
        return [subscription for reference in self._open.copy() if (subscription := reference()) is not None]

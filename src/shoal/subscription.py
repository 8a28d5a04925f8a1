"""Independent, bounded streams of events, one per subscriber."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from shoal.events import Event, EventsLost

__all__ = ["Subscription"]


class Subscription:
    """An async iterator over the events since it was made; ends when the cluster closes or `close` is called.

    A subscriber that is too slow loses the oldest events and is told by `EventsLost`; the others are not affected. One
    task at a time may iterate, on the cluster's event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
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

    def close(self) -> None:
        """End the iteration after what is waiting; may be called again."""
        self._is_closed = True
        self._notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                return EventsLost(lost)
            if self._waiting:
                return self._waiting.popleft()
            if self._is_closed:
                raise StopAsyncIteration
            if self._wake is not None:
                raise RuntimeError("another task iterates over this subscription; make one of your own with events()")
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

"""Deadlines of one core, in one heap."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from shoal.types import Note

__all__ = ["Timer", "Timers"]

_COMPACT_ABOVE: Final = 64

Action = Callable[[float], None]
"""Called with the time at which it really fires, which may be later than it was due."""


class Timer:
    """A pending action; `cancel` makes it harmless."""

    __slots__ = ("_timers", "action")

    def __init__(self, action: Action, timers: Timers) -> None:
        self.action: Action | None = action
        self._timers = timers

    def cancel(self) -> None:
        """Never fire; harmless when it fired or was cancelled before."""
        if self.action is not None:
            self.action = None
            self._timers.note_cancelled()


class Timers:
    """A heap of timers; equal deadlines fire in the order in which they were set."""

    __slots__ = ("_cancelled", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("timers, cancelled ones too", len(self._heap), max(2 * len(self), len(self) + _COMPACT_ABOVE))

    def at(self, deadline: float, action: Action) -> Timer:
        """Call `action(now)` once `deadline` has come."""
        self._order += 1
        timer = Timer(action, self)
        heappush(self._heap, (deadline, self._order, timer))
        return timer

    def next_deadline(self) -> float | None:
        """When the next timer is due."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def fire(self, now: float) -> None:
        """Run what is due at `now`, including what that sets for no later than `now`."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heappop(heap)[2]
            action = timer.action
            if action is None:
                self._cancelled -= 1
                continue
            timer.action = None
            action(now)
        self._compact()

    def note_cancelled(self) -> None:
        """A timer in the heap was cancelled."""
        self._cancelled += 1
        self._compact()

    def _compact(self) -> None:
        """Drop the cancelled ones when they are most of the heap."""
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].action is not None]
            heapify(self._heap)
            self._cancelled = 0

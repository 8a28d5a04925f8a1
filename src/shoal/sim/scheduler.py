"""Virtual time: a heap of things to do, and nothing that waits."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["Scheduler"]

_Entry = tuple[float, int, Callable[..., object], tuple[Any, ...]]


class Scheduler:
    """Does things in the order of their virtual time; of two things at one instant, the one that was planned first."""

    __slots__ = ("_heap", "_planned", "now", "steps")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._planned = 0
        self.now = 0.0
        """Seconds since the start of the simulation."""
        self.steps = 0
        """How many things were done."""

    def at(self, when: float, action: Callable[..., object], *arguments: Any) -> None:
        """Plan `action(*arguments)` for the time `when`; a time in the past means now."""
        self._planned += 1
        heappush(self._heap, (max(self.now, when), self._planned, action, arguments))

    def after(self, delay: float, action: Callable[..., object], *arguments: Any) -> None:
        """Plan `action(*arguments)` for `delay` seconds from now, which must not be negative."""
        self._planned += 1
        heappush(self._heap, (self.now + delay, self._planned, action, arguments))

    def run_to(self, until: float) -> None:
        """Do everything that is due up to and including `until`, then stand there."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action, arguments = heappop(heap)
            self.steps += 1
            action(*arguments)
        self.now = max(self.now, until)

"""What happens when, for many members at once: events of one kind in one tick are one array."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from math import inf
from typing import Final, TypeAlias

from shoal.sim.model.arrays import np

__all__ = ["TICK", "Agenda", "Ints"]

TICK: Final = 0.000_1
"""Seconds. Events are moved to the nearest tick; a packet takes several."""

Ints: TypeAlias = "np.typing.NDArray[np.int32]"


class Agenda:
    """Arrays of integers, each column an event, by the tick at which they are due; emptied in order of time."""

    def __init__(self) -> None:
        self._due: dict[int, list[Ints]] = defaultdict(list)
        self._ticks: list[int] = []

    @property
    def next(self) -> float:
        """When the next events are due, in seconds; infinite when there are none."""
        return self._ticks[0] * TICK if self._ticks else inf

    def add(self, events: Ints, times: np.typing.NDArray[np.float64], now: float) -> None:
        """Plan events, one a column, each in the tick next to its time, but after that of `now`."""
        ticks = np.maximum(np.rint(times / TICK), round(now / TICK) + 1).astype(np.int64)
        if len(ticks) > 1:
            order = np.argsort(ticks, kind="stable")
            ticks, events = ticks[order], events[:, order]
        start = 0
        while start < len(ticks):
            tick = int(ticks[start])
            end = int(np.searchsorted(ticks, tick, side="right"))
            if tick not in self._due:
                heappush(self._ticks, tick)
            self._due[tick].append(events[:, start:end])
            start = end

    def pop(self) -> Ints:
        """The events of the next tick, in the order in which they were planned."""
        parts = self._due.pop(heappop(self._ticks))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

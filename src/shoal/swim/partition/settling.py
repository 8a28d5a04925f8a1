"""When to decide: not while things still change, and not never."""

from __future__ import annotations

from enum import Enum
from math import log10
from typing import Final

__all__ = ["Settled", "Settling", "settle_time"]

_LEAST: Final = 3.0
_PER_DECADE: Final = 10.0
_PATIENCE: Final = 0.75
"""Of the settle time, for which it may go on to change after it; then all stand down, as in Akka."""


def settle_time(members: int) -> float:
    """Seconds without change after which all on a side see the same: 7 for 5 members, 20 for 100, 30 for 1,000.

    Akka's table of recommended values, which is 10 * log10 n.
    """
    return max(_LEAST, _PER_DECADE * log10(max(1, members)))


class Settled(Enum):
    """Whether the view has come to rest."""

    NOT_YET = "not yet"
    STABLE = "stable"
    UNSTABLE = "unstable"
    """It has changed for too long: waiting further makes nobody surer."""


class Settling:
    """Watches one partition: when it began, and when it last changed."""

    __slots__ = ("_began", "_changed", "_seconds")

    def __init__(self, members: int, now: float) -> None:
        self._seconds = settle_time(members)
        self._began = self._changed = now

    def note_change(self, now: float) -> None:
        """Who is reachable changed."""
        self._changed = now

    def at(self, now: float) -> Settled:
        """How it stands."""
        if now - self._changed >= self._seconds:
            return Settled.STABLE
        return Settled.UNSTABLE if now - self._began >= (1 + _PATIENCE) * self._seconds else Settled.NOT_YET

    @property
    def due(self) -> float:
        """When the answer is known, unless something changes before."""
        return min(self._changed + self._seconds, self._began + (1 + _PATIENCE) * self._seconds)

"""Unix time that does not jump while it is in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

__all__ = ["SteadyClock"]

_LEAST_STEP: Final = 1.0
"""Seconds by which the wall clock must be off before it is looked at anew."""


_BOOT_TIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Counts while the machine sleeps too; only Linux has it."""


_uptime: Callable[[], float] = time.monotonic if _BOOT_TIME is None else partial(time.clock_gettime, _BOOT_TIME)


class SteadyClock:
    """The wall clock as it was when this object was made, carried on by a clock that nobody can set.

    So a clock that is set during a run makes no message look old, neither here nor there.
    """

    __slots__ = ("_offset", "_uptime", "_wall")

    def __init__(self, *, wall: Callable[[], float] = time.time, uptime: Callable[[], float] = _uptime) -> None:
        self._wall = wall
        self._uptime = uptime
        self._offset = wall() - uptime()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._uptime() + self._offset

    def reset(self) -> bool:
        """Take the time from the wall clock anew; whether that was worth it."""
        offset = self._wall() - self._uptime()
        if abs(offset - self._offset) < _LEAST_STEP:
            return False
        self._offset = offset
        return True

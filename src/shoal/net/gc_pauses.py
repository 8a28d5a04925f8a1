"""How long garbage collections stop this process.

A collection holds the interpreter, so no event loop of the process turns meanwhile; with many objects that takes
long enough for a peer to doubt the process.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

__all__ = ["GcPauses"]


class GcPauses:
    """Times collections between `start` and `stop`, by the caller's clock, in seconds."""

    __slots__ = ("_began", "_clock", "_longest")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began: float | None = None
        self._longest = 0.0

    def start(self) -> None:
        """Begin to measure; `stop` must follow."""
        gc.callbacks.append(self._on_phase)

    def stop(self) -> None:
        """Measure no more; may be called again."""
        if self._on_phase in gc.callbacks:
            gc.callbacks.remove(self._on_phase)

    def take_longest(self) -> float:
        """The longest collection since the last call; 0 if there was none."""
        longest, self._longest = self._longest, 0.0
        return longest

    def _on_phase(self, phase: str, _info: dict[str, Any]) -> None:
        # Collections do not overlap, in whichever thread they run, so one beginning is enough.
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            self._longest = max(self._longest, self._clock() - self._began)
            self._began = None

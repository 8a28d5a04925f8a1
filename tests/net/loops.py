"""Event loops for tests: one whose clock is ours, and one that cannot watch sockets."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

_Args = TypeVarTuple("_Args")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, lets the time pass that it was asked to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("the test waits for something that no timer and no task will bring about")
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A loop on which every wait is over at once, in the order of their deadlines; time starts at 0."""

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        self.timers_armed = 0
        self.fires_early_by = 0.0
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers_armed += 1
        return super().call_at(when - self.fires_early_by, callback, *args, context=context)


class WatchlessLoop(asyncio.SelectorEventLoop):
    """As the proactor loop of Windows, it has no `add_reader`."""

    def add_reader(self, fd: Any, callback: Callable[[*_Args], Any], *args: *_Args) -> None:
        raise NotImplementedError

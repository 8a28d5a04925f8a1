"""Wake-ups that all nodes on one event loop share.

A turn of an event loop costs more than what one node does in it. So deadlines are rounded up to common moments, and all
nodes that are due by then are served in one turn; so are their peers, whose sockets become readable together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil
from weakref import WeakKeyDictionary

from shoal.config import ClusterConfig

__all__ = ["GRAIN", "Wakeup", "timer_slack"]

GRAIN = 1e-6
"""Seconds that a wake-up may be early: sums of times are rounded, and must not miss a shared moment by a bit."""


_LARGEST_SHARE = 1 / 5
"""Of the probe timeout: a node whose timings are short must not spend them waiting."""


def timer_slack(config: ClusterConfig) -> float:
    """Seconds that a node's wake-ups may be late."""
    return min(config.timer_slack, _LARGEST_SHARE * config.probe_timeout)


class Wakeup:
    """One node's next wake-up; `action` is called on the loop's thread, with the time for which it was set."""

    __slots__ = ("_action", "_loop", "_moment", "_moments", "_slack")

    def __init__(self, loop: asyncio.AbstractEventLoop, action: Callable[[float], None], slack: float) -> None:
        """Wake-ups may be `slack` seconds late, so that they fall together with others; with 0 they are on time."""
        self._action = action
        self._slack = slack
        self._loop = loop
        self._moments = _moments.setdefault(loop, {})
        self._moment: _Moment | None = None

    def set(self, deadline: float, now: float) -> None:
        """Come at `deadline`, or up to `slack` seconds later, and not at any time that was set before."""
        slack = self._slack
        at = deadline if deadline <= now or not slack else ceil((deadline - GRAIN) / slack) * slack
        moment = self._moment
        if moment is not None:
            if moment.at == at:
                return
            moment.drop(self)
        moment = self._moments.get(at)
        if moment is None:
            moment = self._moments[at] = _Moment(self._loop, self._moments, at)
        moment.waiting[self] = None
        self._moment = moment

    def cancel(self) -> None:
        """Do not come; harmless if it came or was not set."""
        if self._moment is not None:
            self._moment.drop(self)
            self._moment = None

    def come(self, at: float) -> None:
        """Called by the moment."""
        self._moment = None
        self._action(at)


class _Moment:
    """A time at which the loop wakes up, and who is woken then."""

    __slots__ = ("_loop", "_others", "_timer", "at", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, others: dict[float, _Moment], at: float) -> None:
        self.at = at
        self.waiting: dict[Wakeup, None] = {}
        self._loop = loop
        self._others = others
        self._timer = loop.call_at(at, self._come)

    def drop(self, wakeup: Wakeup) -> None:
        """Wake somebody else without this one."""
        del self.waiting[wakeup]
        if not self.waiting:
            self._timer.cancel()
            self._end()

    def _come(self) -> None:
        self._end()
        waiting = self.waiting
        while waiting:  # Who is woken may drop another one.
            wakeup = next(iter(waiting))
            del waiting[wakeup]
            try:
                wakeup.come(self.at)
            except Exception as error:
                self._loop.call_exception_handler({"message": "a wake-up failed", "exception": error})

    def _end(self) -> None:
        if self._others.get(self.at) is self:
            del self._others[self.at]


#: Of each loop, the moments that are to come, by their times; a node that is stopped leaves nothing here.
_moments: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, _Moment]] = WeakKeyDictionary()

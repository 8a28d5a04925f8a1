"""Stalls that members have declared: "I shall not answer for up to so long, and that is no failure".

An inference process that loads weights, compiles a kernel or writes a checkpoint holds its interpreter for longer than
any failure detector can wait. It knows so beforehand, and says so. Until the time is over or the member says that it is
back, whoever heard of it accuses the member of nothing and believes no accusation, but goes on probing it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from shoal.events import MemberReadinessChanged
from shoal.swim.context import Context
from shoal.swim.gossip_queue import Priority
from shoal.swim.news import News, stall_key
from shoal.swim.timers import Timer
from shoal.types import NodeId, Note, Readiness
from shoal.wire.messages import Stall

__all__ = ["Stalls"]

_MAX_NUMBERS: Final = 4096
"""Runs whose last declaration is remembered, so that an old one does not come back; the oldest are forgotten first."""


@dataclass(slots=True)
class _Open:
    declared: Stall
    until: float
    timer: Timer


class Stalls:
    """Who is in a declared stall, and until when at most."""

    __slots__ = ("_longest", "_news", "_numbers", "_open", "_table", "_tell", "_timers")

    def __init__(self, context: Context, news: News) -> None:
        self._news = news
        self._longest = context.config.max_stall
        self._table = context.table
        self._timers = context.timers
        self._tell = context.events.append
        self._open: dict[NodeId, _Open] = {}
        self._numbers: dict[NodeId, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("declared stalls", len(self._open), self._table.present_count)
        note("remembered declarations", len(self._numbers), _MAX_NUMBERS)

    def __contains__(self, id: NodeId) -> bool:
        return id in self._open

    def until(self, id: NodeId) -> float:
        """When the stall of a run that is in one ends at the latest."""
        return self._open[id].until

    def is_news(self, stall: Stall) -> bool:
        """Whether neither this declaration nor a later one of that run is known."""
        return stall.number > self._numbers.get(stall.id, 0)

    def take(self, stall: Stall, now: float) -> None:
        """Believe a declaration that is news, up to `max_stall`."""
        self._numbers.pop(stall.id, None)
        self._numbers[stall.id] = stall.number
        if len(self._numbers) > _MAX_NUMBERS:
            del self._numbers[next(iter(self._numbers))]
        before = self._readiness(stall.id)
        self.end(stall.id)
        seconds = min(stall.seconds, self._longest)
        if seconds > 0:
            until = now + seconds
            self._open[stall.id] = _Open(stall, until, self._timers.at(until, partial(self._run_out, stall.id)))
            self._show(stall.id, is_stalled=True)
        self._tell_change(stall.id, before)

    def defend(self, id: NodeId, now: float) -> None:
        """Somebody accuses a run that is in a stall: tell them of what is left of it, once at a time."""
        if not self._news.is_waiting(stall_key(id)):
            stall = self._open[id]
            self._news.tell(replace(stall.declared, seconds=max(0.0, stall.until - now)), Priority.CRITICAL)

    def end(self, id: NodeId) -> None:
        """The run is back, or gone."""
        stall = self._open.pop(id, None)
        if stall is not None:
            stall.timer.cancel()
            self._show(id, is_stalled=False)

    def _run_out(self, id: NodeId, _now: float) -> None:
        self.end(id)
        self._tell_change(id, Readiness.STALLED)

    def _readiness(self, id: NodeId) -> Readiness | None:
        slot = self._table.slot_of(id)
        return None if slot is None else self._table.member(slot).readiness

    def _tell_change(self, id: NodeId, before: Readiness | None) -> None:
        """Of a run that goes on; one that ends is told of in other ways."""
        slot = self._table.slot_of(id)
        if slot is not None and before is not None and (member := self._table.member(slot)).readiness is not before:
            self._tell(MemberReadinessChanged(member, before))

    def _show(self, id: NodeId, *, is_stalled: bool) -> None:
        slot = self._table.slot_of(id)
        if slot is not None:
            self._table.set_stalled(slot, is_stalled)

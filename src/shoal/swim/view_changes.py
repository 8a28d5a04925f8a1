"""Changes of the view in one piece: what a short while brought, in all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shoal.events import Event, MemberFailed, MemberJoined, MemberLeft, ViewChanged
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import FAILURE_DOMAINS, FailureDomain, Member, NodeId, Tags

__all__ = ["ViewChanges", "whole_domains"]

_MOST_DELAYS: Final = 10.0
"""Delays after which a batch is told even though the view still changes."""
_LEAST_IN_DOMAIN: Final = 2

Change = MemberJoined | MemberFailed | MemberLeft


class ViewChanges:
    """Gathers joins, failures and goodbyes until none has come for `view_change_delay`."""

    __slots__ = ("_before", "_delay", "_first", "_last", "_latest", "_table", "_tell", "_timer", "_timers")

    def __init__(self, context: Context) -> None:
        self._delay = context.config.view_change_delay
        self._table = context.table
        self._timers = context.timers
        self._tell = context.events.append
        #: The last change of each run in this batch, and whether it was present before.
        self._latest: dict[NodeId, Change] = {}
        self._before: dict[NodeId, bool] = {}
        self._first = self._last = 0.0
        self._timer: Timer | None = None

    def see(self, event: Event, now: float) -> None:
        """Something was told to the user."""
        if not isinstance(event, Change):
            return
        id = event.member.id
        self._before.setdefault(id, not isinstance(event, MemberJoined))
        self._latest[id] = event
        self._last = now
        if self._timer is None:
            self._first = now
            self._timer = self._timers.at(now + self._delay, self._look)

    def _look(self, now: float) -> None:
        due = min(self._last + self._delay, self._first + _MOST_DELAYS * self._delay)
        self._timer = self._timers.at(due, self._look) if due > now else None
        if self._timer is None:
            self._close()

    def _close(self) -> None:
        changes = [
            event for id, event in self._latest.items() if self._before[id] is not isinstance(event, MemberJoined)
        ]
        self._latest.clear()
        self._before.clear()
        if not changes:
            return
        failed = tuple(event.member for event in changes if isinstance(event, MemberFailed))
        self._tell(
            ViewChanged(
                joined=tuple(event.member for event in changes if isinstance(event, MemberJoined)),
                failed=failed,
                left=tuple(event.member for event in changes if isinstance(event, MemberLeft)),
                domains=whole_domains(failed, self._table.present_tags()),
            )
        )


def whole_domains(
    lost: Iterable[Member], present: Iterable[Tags], least: int = _LEAST_IN_DOMAIN
) -> tuple[FailureDomain, ...]:
    """The failure domains with so many members at least, all of them lost; the widest first."""
    counts: dict[FailureDomain, int] = {}
    for member in lost:
        for domain in FailureDomain.of(member.tags):
            counts[domain] = counts.get(domain, 0) + 1
    counts = {domain: count for domain, count in counts.items() if count >= least}
    if not counts:
        return ()
    alive = {domain for tags in present for domain in FailureDomain.of(tags)}
    return tuple(sorted(counts.keys() - alive, key=lambda domain: (FAILURE_DOMAINS.index(domain.tag), domain.value)))

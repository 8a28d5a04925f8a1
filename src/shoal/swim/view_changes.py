"""Changes of the view in one piece: what a short while brought, in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from shoal.events import Event, MemberFailed, MemberJoined, MemberLeft, ViewChanged
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import FAILURE_DOMAINS, FailureDomain, Member, NodeId, Note, Tags

__all__ = ["ViewChanges", "whole_domains"]

_MOST_DELAYS: Final = 10.0
"""Delays after which a batch is told even though the view still changes."""
_LEAST_IN_DOMAIN: Final = 2

Change = MemberJoined | MemberFailed | MemberLeft


class ViewChanges:
    """Gathers joins, failures and goodbyes until none has come for `view_change_delay`.

    The members of a rack that vanishes are found out one after the other, a probe interval or two apart. So as long as
    others of a failed member's domain are suspect, their end is awaited too; and where most of a domain failed, so
    are two probe intervals in which the others may be found.
    """

    __slots__ = (
        "_before", "_delay", "_first", "_found_in", "_is_waiting", "_last", "_latest", "_most", "_suspects", "_table",
        "_tell", "_timer", "_timers",
    )  # fmt: skip

    def __init__(self, context: Context, suspects: Callable[[], Iterable[NodeId]]) -> None:
        """`suspects` says who is suspect right now."""
        self._suspects = suspects
        self._delay = context.config.view_change_delay
        self._found_in = 2 * context.config.probe_interval
        self._table = context.table
        self._timers = context.timers
        self._tell = context.events.append
        #: The last change of each run in this batch, and whether it was present before.
        self._latest: dict[NodeId, Change] = {}
        self._before: dict[NodeId, bool] = {}
        self._most = context.config.max_members
        self._first = self._last = 0.0
        self._is_waiting = False
        self._timer: Timer | None = None

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("changes of a batch", len(self._latest), self._most)
        note("members of a batch", len(self._before), self._most)

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
        if len(self._latest) > self._most:
            self._close()  # More than there can be members: some of them have come and gone already.

    def _look(self, now: float) -> None:
        due = self._last + self._delay
        was_waiting, self._is_waiting = self._is_waiting, due <= now and self._is_more_to_come()
        if due <= now and (self._is_waiting or was_waiting):
            due = now + self._delay  # once more after the last suspect, whose end of this very moment is not told yet
        elif due <= now < self._last + self._found_in and self._is_most_of_a_domain_lost():
            due = self._last + self._found_in
        due = min(due, self._first + _MOST_DELAYS * self._delay)
        self._timer = self._timers.at(due, self._look) if due > now else None
        if self._timer is None:
            self._close()

    def _is_more_to_come(self) -> bool:
        """Whether a suspect shares a failure domain with a member that failed."""
        failed = (event.member for event in self._latest.values() if isinstance(event, MemberFailed))
        domains = {domain for member in failed for domain in FailureDomain.of(member.tags)}
        if not domains:
            return False
        slots = map(self._table.slot_of, self._suspects())
        tags = (self._table.info(slot).tags for slot in slots if slot is not None)
        return any(not domains.isdisjoint(FailureDomain.of(one)) for one in tags)

    def _is_most_of_a_domain_lost(self) -> bool:
        """Whether as many members of a failure domain failed as are left of it, and more than one."""
        failed = [event.member for event in self._latest.values() if isinstance(event, MemberFailed)]
        lost = Counter(domain for member in failed for domain in FailureDomain.of(member.tags))
        if max(lost.values(), default=0) < _LEAST_IN_DOMAIN:
            return False
        left = Counter(domain for tags in self._table.present_tags() for domain in FailureDomain.of(tags))
        return any(_LEAST_IN_DOMAIN <= count >= left[domain] > 0 for domain, count in lost.items())

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
    counts = Counter(domain for member in lost for domain in FailureDomain.of(member.tags))
    enough = {domain for domain, count in counts.items() if count >= least}
    if not enough:
        return ()
    alive = {domain for tags in present for domain in FailureDomain.of(tags)}
    return tuple(sorted(enough - alive, key=lambda domain: (FAILURE_DOMAINS.index(domain.tag), domain.value)))

"""Whom to probe next, where one exchange checks both of its ends.

A ping shows its receiver that the sender lives as well as its ack shows the sender that the receiver does. So two
neighbours on the ring take turns: each pings the other once in two periods, and in between waits to be pinged. Half as
many datagrams check everybody as often as if each had pinged for itself.

A member that waits in vain pings, a *grace* later. Who is damped is pinged by the one before it, besides whoever stands
behind it. And nobody is excused from two turns running, whatever it hears: a
ping shows only that its sender can send, and an ack that it can receive, too. Members that were suspect or dead lately
are excused from nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final

from shoal.state.table import MemberTable
from shoal.swim.neighbours import Neighbours
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.probe_schedule import next_due
from shoal.types import NodeId

__all__ = ["GRACE", "STRAY", "MutualSchedule"]

GRACE: Final = 1 / 4
"""Of the probe interval: longer than timers of a healthy node are late."""
STRAY: Final = 8
"""Probe intervals from one probe in shuffled order to the next. They find whom no neighbour finds, and let views meet
that are far apart on the ring."""


@dataclass(slots=True)
class _Watch:
    """One neighbour, and when it is pinged next. Times are in monotonic seconds."""

    number: int
    """Places on the ring from this node, negative before it."""
    due: float = inf
    peer: NodeId | None = None
    """Who was pinged last."""
    pinged: float = -inf
    waits: float = 0.0
    """What is the peer's turn before it is ours: the grace until `due`; 0 if it is our turn."""


class MutualSchedule:
    """Watches `neighbours` members on each side of the ring, and pings a member in shuffled order now and then.

    Each of the `2 * neighbours` has an exchange once in as many intervals.
    """

    __slots__ = ("_is_spotless", "_neighbours", "_order", "_random", "_stray_due", "_table", "_watches", "due")

    def __init__(
        self,
        table: MemberTable,
        order: ProbeOrder,
        neighbours: int,
        random: Random,
        is_spotless: Callable[[NodeId, float], bool] = lambda _id, _now: True,
    ) -> None:
        """`is_spotless` says whether a member is to be excused when it pings us, at a time."""
        self.due = inf
        self._is_spotless = is_spotless
        self._table = table
        self._order = order
        self._random = random
        self._neighbours = Neighbours(table)
        self._watches = [_Watch(number * side) for number in range(1, neighbours + 1) for side in (1, -1)]
        self._stray_due = inf

    def start(self, now: float, interval: float) -> None:
        """As `ProbeSchedule.start`."""
        begin = now + self._random.random() * interval
        for place, watch in enumerate(self._watches):
            watch.due = begin + place * interval
        self._stray_due = begin + self._random.random() * STRAY * interval
        self._find_due()

    def take(self, own_id: NodeId, now: float, interval: float) -> list[NodeId]:
        """As `ProbeSchedule.take`."""
        own_slot = self._table.slot_of(own_id)
        watch = min(self._watches, key=_due)
        damped: list[int] = []
        slot = None
        if self._stray_due < watch.due:
            self._stray_due = next_due(self._stray_due, STRAY * interval, now)
        else:
            slot, damped = self._neighbours.find_with_damped(own_slot, watch.number)
            watch.peer = None if slot is None else self._table.id(slot)
            watch.pinged = now
            watch.waits = GRACE * interval if watch.peer is not None and self._is_spotless(watch.peer, now) else 0.0
            watch.due = next_due(watch.due, len(self._watches) * interval + watch.waits, now)
        if slot is None:
            slot = self._order.next(own_slot)
        if slot is None:
            watch.due = now + interval  # Alone as yet.
        self._find_due()
        if watch.number < 0:
            damped = []  # Who stands before them looks at them.
        return [self._table.id(each) for each in (slot, *damped) if each is not None]

    def heard(self, sender: NodeId, own_id: NodeId, now: float, interval: float) -> None:
        """As `ProbeSchedule.heard`: if it was the sender's turn, the next is ours."""
        turns = [watch for watch in self._watches if watch.waits and watch.peer == sender]
        if not turns:
            return
        watch = min(turns, key=_due)
        if now - watch.pinged < watch.waits and own_id > sender:
            return  # Both pinged at once: one of the two waits.
        watch.due = min(now, watch.due - watch.waits) + len(self._watches) * interval
        watch.waits = 0.0
        self._find_due()

    def inherited(self, suspect: NodeId, own_id: NodeId) -> list[NodeId]:
        """As `ProbeSchedule.inherited`."""
        heirs = [self._neighbours.inherited(suspect, own_id, watch.number) for watch in self._watches]
        return [heir for heir in heirs if heir is not None]

    def _find_due(self) -> None:
        self.due = min(self._stray_due, *[watch.due for watch in self._watches])


def _due(watch: _Watch) -> float:
    return watch.due

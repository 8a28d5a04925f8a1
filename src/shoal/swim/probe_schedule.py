"""Whom to probe next, and when.

Neighbours on the ring are probed in turn with everybody else in shuffled order. With shuffled order alone (SWIM §4.3)
the wait until some member probes a dead one is Exp(1) in probe intervals: 0.7 at the median, but 6.9 at 99.9 %.
Neighbours are probed by the same members again and again, so with one neighbour in turn with the shuffled order the
wait is at most two intervals as long as that one neighbour lives, and the shuffled order still guarantees that every
member probes every other.
"""

from __future__ import annotations

from math import inf
from random import Random
from typing import Protocol

from shoal.state.table import MemberTable
from shoal.swim.neighbours import Neighbours
from shoal.swim.probe_order import ProbeOrder
from shoal.types import NodeId

__all__ = ["OneByOne", "ProbeSchedule", "next_due"]


class ProbeSchedule(Protocol):
    """What a prober asks. An `interval` is that of one probe, stretched by local health."""

    due: float
    """When the next probe is."""

    def start(self, now: float, interval: float) -> None:
        """Begin at a random moment of the interval, so that members started together do not probe in step."""

    def take(self, own_id: NodeId, now: float, interval: float) -> list[NodeId]:
        """Who is to be probed now that `due` has come. Sets the next `due`."""

    def heard(self, sender: NodeId, own_id: NodeId, now: float, interval: float) -> None:
        """A member pinged us, which may change `due`."""

    def inherited(self, suspect: NodeId, own_id: NodeId) -> list[NodeId]:
        """Whom we watch from now on, because `suspect`, which stands between, is alive no more."""


class OneByOne:
    """One member in each interval: the next `neighbours` on the ring for each member of the shuffled order."""

    __slots__ = ("_count", "_neighbours", "_order", "_random", "_table", "_turn", "due")

    def __init__(self, table: MemberTable, order: ProbeOrder, neighbours: int, random: Random) -> None:
        self.due = inf
        self._count = neighbours
        self._neighbours = Neighbours(table)
        self._order = order
        self._random = random
        self._table = table
        self._turn = 0

    def start(self, now: float, interval: float) -> None:
        """As `ProbeSchedule.start`."""
        self.due = now + self._random.random() * interval

    def take(self, own_id: NodeId, now: float, interval: float) -> list[NodeId]:
        """As `ProbeSchedule.take`."""
        self.due = next_due(self.due, interval, now)
        own_slot = self._table.slot_of(own_id)
        self._turn = (self._turn + 1) % (self._count + 1)
        slot = self._neighbours.find(own_slot, self._turn) if self._turn else None
        if slot is None:
            slot = self._order.next(own_slot)
        return [] if slot is None else [self._table.id(slot)]

    def heard(self, sender: NodeId, own_id: NodeId, now: float, interval: float) -> None:
        """As `ProbeSchedule.heard`: it changes nothing."""

    def inherited(self, suspect: NodeId, own_id: NodeId) -> list[NodeId]:
        """As `ProbeSchedule.inherited`."""
        heir = self._neighbours.inherited(suspect, own_id, 1) if self._count else None
        return [] if heir is None else [heir]


def next_due(due: float, wait: float, now: float) -> float:
    """When to come again: from when this was due, not from now, or nodes on one event loop would fall into step."""
    return due + wait if due + wait > now else now + wait

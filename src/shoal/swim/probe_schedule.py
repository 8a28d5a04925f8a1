"""Whom to probe next: neighbours on the ring in turn with everybody else in shuffled order.

With shuffled order alone (SWIM §4.3) the wait until some member probes a dead one is Exp(1) in probe intervals: 0.7
at the median, but 6.9 at 99.9 %. Neighbours are probed by the same members again and again, so with one neighbour in
turn with the shuffled order the wait is at most two intervals as long as that one neighbour lives, and the shuffled
order still guarantees that every member probes every other.
"""

from __future__ import annotations

from typing import Final

from shoal.state.table import MemberTable
from shoal.swim.probe_order import ProbeOrder
from shoal.types import NodeId

__all__ = ["ProbeSchedule"]


_LONGEST_WALK: Final = 16
"""Places. If so many neighbours in a row are suspect, whole racks are gone, and the shuffled order does as well."""


class ProbeSchedule:
    """Probes the next `neighbours` on the ring that are alive and steady for each member of the shuffled order.

    Suspects and the damped are passed over: they are looked at anyhow, and whom they would have watched needs another
    watcher.
    """

    __slots__ = ("_neighbours", "_order", "_table", "_turn")

    def __init__(self, table: MemberTable, order: ProbeOrder, neighbours: int) -> None:
        self._table = table
        self._order = order
        self._neighbours = neighbours
        self._turn = 0

    def next(self, own_id: NodeId) -> NodeId | None:
        """The next member to probe; None if nobody else is present."""
        self._turn = (self._turn + 1) % (self._neighbours + 1)
        neighbour = self._neighbour(own_id, self._turn) if self._turn else None
        return neighbour or self._order.next(own_id)

    def inherited(self, suspect: NodeId, own_id: NodeId) -> NodeId | None:
        """Whom we watch from now on, because `suspect`, which stands between, is alive no more; None if nobody."""
        if not self._neighbours or not self._table.is_present(suspect):
            return None
        heir = self._neighbour(own_id, 1)
        ring = self._table.ring
        if heir is None or ring.places_between(own_id, suspect) > ring.places_between(own_id, heir):
            return None
        return heir

    def _neighbour(self, own_id: NodeId, number: int) -> NodeId | None:
        """The `number`-th live and steady member after us on the ring."""
        if not self._table.is_present(own_id):
            return None
        for places in range(1, min(_LONGEST_WALK, self._table.present_count)):
            id = self._table.ring.successor(own_id, places)
            number -= self._table.is_steady(id)
            if number == 0:
                return id
        return None

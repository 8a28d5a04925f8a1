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
        own_slot = self._table.slot_of(own_id)
        self._turn = (self._turn + 1) % (self._neighbours + 1)
        slot = self._neighbour(own_slot, self._turn) if self._turn else None
        if slot is None:
            slot = self._order.next(own_slot)
        return None if slot is None else self._table.id(slot)

    def inherited(self, suspect: NodeId, own_id: NodeId) -> NodeId | None:
        """Whom we watch from now on, because `suspect`, which stands between, is alive no more; None if nobody."""
        table = self._table
        if not self._neighbours or not table.is_present(suspect):
            return None
        own_slot = table.slot_of(own_id)
        heir = self._neighbour(own_slot, 1)
        if own_slot is None or heir is None:
            return None
        if table.places_between(own_id, suspect) > table.ring.places_between(own_slot, heir):
            return None
        return table.id(heir)

    def _neighbour(self, own_slot: int | None, number: int) -> int | None:
        """The `number`-th live and steady member after us on the ring."""
        table = self._table
        if own_slot is None or not table.is_present_at(own_slot):
            return None
        for places in range(1, min(_LONGEST_WALK, table.present_count)):
            slot = table.ring.successor(own_slot, places)
            number -= table.is_steady_at(slot)
            if number == 0:
                return slot
        return None

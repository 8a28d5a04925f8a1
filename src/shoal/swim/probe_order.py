"""Whom to probe next: shuffled round-robin (SWIM §4.3).

Every member is probed once in each pass, so the gap between two probes of one member by one prober is at most 2n - 1
probe intervals. A new member comes in at a random place.
"""

from __future__ import annotations

from random import Random

from shoal.state.table import MemberTable
from shoal.types import NodeId

__all__ = ["ProbeOrder"]


class ProbeOrder:
    """The order of the current pass. Who died meanwhile is skipped when its turn comes.

    Each turn is drawn from those that had none yet (Fisher and Yates, one step a probe): no node ever stops to shuffle
    all members, and whoever comes in meanwhile stands at a random place by being added at the end.
    """

    __slots__ = ("_next", "_order", "_random", "_table")

    def __init__(self, table: MemberTable, random: Random) -> None:
        self._table = table
        self._random = random
        #: In front of `_next` those that had their turn, behind it the others in no order.
        self._order: list[NodeId] = []
        self._next = 0

    def insert(self, id: NodeId) -> None:
        """Bring a new member into the current pass."""
        if len(self._order) > 2 * self._table.present_count + 16:
            # Members that come and go faster than a pass takes must not make it longer and longer.
            self._begin()
        else:
            self._order.append(id)

    def next(self, own_id: NodeId) -> NodeId | None:
        """The next member that is present and is not this node; None if there is none."""
        for _ in range(2):
            while self._next < len(self._order):
                id = self._draw()
                if id != own_id and self._table.is_present(id):
                    return id
            self._begin()
        return None

    def _draw(self) -> NodeId:
        order, turn = self._order, self._next
        drawn = turn + int(self._random.random() * (len(order) - turn))
        order[turn], order[drawn] = order[drawn], order[turn]
        self._next = turn + 1
        return order[turn]

    def _begin(self) -> None:
        self._order = self._table.present_ids()
        self._next = 0

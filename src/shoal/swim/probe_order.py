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
    """The order of the current pass. Who died meanwhile is skipped when its turn comes."""

    __slots__ = ("_next", "_order", "_random", "_table")

    def __init__(self, table: MemberTable, random: Random) -> None:
        self._table = table
        self._random = random
        self._order: list[NodeId] = []
        self._next = 0

    def insert(self, id: NodeId) -> None:
        """Bring a new member into the current pass."""
        if len(self._order) > 2 * self._table.present_count + 16:
            # Members that come and go faster than a pass takes must not make it longer and longer.
            self._shuffle()
        else:
            position = self._random.randrange(len(self._order) + 1)
            self._order.insert(position, id)
            # In front of the cursor it waits for the next pass, and nobody is probed twice because of it.
            self._next += position < self._next

    def next(self, own_id: NodeId) -> NodeId | None:
        """The next member that is present and is not this node; None if there is none."""
        for _ in range(2):
            while self._next < len(self._order):
                id = self._order[self._next]
                self._next += 1
                if id != own_id and self._table.is_present(id):
                    return id
            self._shuffle()
        return None

    def _shuffle(self) -> None:
        self._order = self._table.present_ids()
        self._random.shuffle(self._order)
        self._next = 0

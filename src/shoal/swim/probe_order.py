"""Whom to probe next: shuffled round-robin (SWIM §4.3).

Every member is probed once in each pass, so the gap between two probes of one member by one prober is at most 2n - 1
probe intervals. A new member comes into the current pass at a random place of what is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from shoal.state.slots import array_of, with_room
from shoal.state.table import MemberTable
from shoal.types import Note

__all__ = ["ProbeOrder"]


class ProbeOrder:
    """The order of the current pass, drawn as it goes: each step swaps a random one of those left to the front.

    So a pass begins at no cost, and a new member just joins those left. Who died meanwhile is skipped when its turn
    comes.
    """

    __slots__ = ("_next", "_order", "_random", "_table")

    def __init__(self, table: MemberTable, random: Random) -> None:
        self._table = table
        self._random = random
        self._order = array_of(())
        self._next = 0

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("members in a pass", len(self._order), 2 * self._table.peak + 16)

    def insert(self, slot: int) -> None:
        """Bring a new member into the current pass."""
        self.extend((slot,))

    def extend(self, slots: Sequence[int]) -> None:
        """Bring many."""
        self._order = with_room(self._order, max(slots, default=0))
        self._order.extend(slots)
        if len(self._order) > 2 * self._table.present_count + 16:
            # Members that come and go faster than a pass takes must not make it longer and longer.
            self._begin()

    def next(self, own_slot: int | None) -> int | None:
        """The slot of the next member that is present and is not this node; None if there is none."""
        for _ in range(2):
            while self._next < len(self._order):
                slot = self._draw()
                if slot != own_slot and self._table.is_present_at(slot):
                    return slot
            self._begin()
        return None

    def _draw(self) -> int:
        order, place = self._order, self._next
        other = place + int(self._random.random() * (len(order) - place))
        order[place], order[other] = order[other], order[place]
        self._next += 1
        return order[place]

    def _begin(self) -> None:
        self._order = self._table.ring.slots()
        self._next = 0

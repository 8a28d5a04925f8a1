"""Who stands next to whom on the ring of members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shoal.state.table import MemberTable
from shoal.types import MemberState, NodeId

__all__ = ["Neighbours"]

_LONGEST_WALK: Final = 16
"""Places. If so many neighbours in a row are suspect, whole racks are gone, and the shuffled order does as well."""


class Neighbours:
    """Finds the members next to a node that are alive.

    Suspects are passed over, and among watchers the damped too: they are looked at anyhow, and whom they would have
    watched needs another watcher.
    """

    __slots__ = ("_table",)

    def __init__(self, table: MemberTable) -> None:
        self._table = table

    def find(self, own_slot: int | None, number: int) -> int | None:
        """The `number`-th steady one after a node on the ring, or before it where `number` is negative."""
        return self.find_with_damped(own_slot, number)[0]

    def find_alive(self, own_slot: int | None, step: int) -> int | None:
        """The next one, damped or not, after a node where `step` is 1, before it where it is -1."""
        state = self._table.state
        return next((slot for slot in self._along(own_slot, step) if state(slot) is MemberState.ALIVE), None)

    def find_with_damped(self, own_slot: int | None, number: int) -> tuple[int | None, list[int]]:
        """As `find`, and the damped that were passed over since the neighbour before that."""
        table = self._table
        damped: list[int] = []
        step = 1 if number > 0 else -1
        for slot in self._along(own_slot, step):
            if table.is_steady_at(slot):
                number -= step
                if number == 0:
                    return slot, damped
                damped.clear()
            elif table.state(slot) is MemberState.ALIVE:
                damped.append(slot)
        return None, damped

    def inherited(self, suspect: NodeId, own_id: NodeId, number: int) -> NodeId | None:
        """Whom `find` finds now that `suspect`, which stands between, is alive no more; None if it does not."""
        table = self._table
        if not table.is_present(suspect):
            return None
        own_slot = table.slot_of(own_id)
        heir = self.find(own_slot, number)
        if own_slot is None or heir is None:
            return None
        to_suspect, to_heir = table.places_between(own_id, suspect), table.ring.places_between(own_slot, heir)
        return table.id(heir) if (to_suspect < to_heir) is (number > 0) else None

    def _along(self, own_slot: int | None, step: int) -> Iterator[int]:
        """Those after a node, or before it, until all were passed or too many; nobody where the node is not present."""
        table = self._table
        if own_slot is not None and table.is_present_at(own_slot):
            for places in range(step, step * min(_LONGEST_WALK, table.present_count), step):
                yield table.ring.successor(own_slot, places)

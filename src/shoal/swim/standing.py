"""Whose word counts, and from when on it counts in full."""

from __future__ import annotations

from typing import Final

from shoal.config import ClusterConfig
from shoal.state.table import MemberTable
from shoal.types import MemberState, NodeId, Note

__all__ = ["Standing"]

_PROBATION: Final = 10.0
"""Probe intervals. An invented member that does not answer is suspected again sooner, whatever it refutes; and whoever
has just come back may have been on the other side of a partition, where all on this side were held dead."""


class Standing:
    """Tells established members from those that have only just come, or come back from the dead."""

    __slots__ = ("_most", "_probation", "_returned", "_table")

    def __init__(self, config: ClusterConfig, table: MemberTable) -> None:
        self._table = table
        self._probation = _PROBATION * config.probe_interval
        self._most = config.max_tombstones
        #: When each run returned from the dead that did so lately, in that order.
        self._returned: dict[NodeId, float] = {}

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("returned members", len(self._returned), self._most)

    def is_established(self, slot: int | None, now: float) -> bool:
        """Whether the member in a row, if there is one, has been alive here without a break for a while."""
        return slot is not None and self._table.is_steady_at(slot) and now - self._table.since(slot) >= self._probation

    def is_estranged(self, id: NodeId, now: float) -> bool:
        """Whether a run is held dead here, or was a moment ago: it may speak for the other side of a partition."""
        returned = self._returned.get(id)
        if returned is not None and now - returned < self._probation:
            return True
        slot = self._table.slot_of(id)
        return slot is not None and self._table.state(slot) is MemberState.DEAD

    def note_returned(self, id: NodeId, now: float) -> None:
        """A run that was held dead is not."""
        self._returned.pop(id, None)
        self._returned[id] = now
        while len(self._returned) > self._most or now - next(iter(self._returned.values())) >= self._probation:
            del self._returned[next(iter(self._returned))]

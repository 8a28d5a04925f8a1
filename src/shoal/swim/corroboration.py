"""Who checks an accusation before everybody hears of it.

News that everybody hears costs each member some packets, and a member that is only slow refutes within a round trip. So
an accuser tells the suspect and its challengers, the members before it on the ring, and they probe it at once. Only
what one of them confirms, or nobody settles in the time of a probe, is gossiped. Under overload that is what keeps
false accusations from bringing about more of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from shoal.config import ClusterConfig
from shoal.swim.context import Context
from shoal.types import NodeId

__all__ = ["Corroboration", "checking_time"]


def checking_time(config: ClusterConfig) -> float:
    """Seconds from an accusation to what those who probe the suspect at once found: a direct probe, and then relays."""
    return 2 * config.probe_timeout


class Corroboration:
    """Knows the challengers of each member, and how long they need."""

    __slots__ = ("_challengers", "_table", "checking_time")

    def __init__(self, context: Context) -> None:
        config = context.config
        self._table = context.table
        self._challengers = config.challengers
        self.checking_time = checking_time(config) if config.corroborate and config.challengers else 0.0
        """Seconds from an accusation to what the challengers found; 0 if everybody hears of it at once."""

    def is_challenger(self, id: NodeId, suspect: NodeId) -> bool:
        """Whether a member stands close enough before another on the ring to check it; neither need be present."""
        table = self._table
        return (
            table.is_present(id)
            and table.is_present(suspect)
            and 0 < table.places_between(id, suspect) <= self._challengers
        )

    def challengers(self, suspect: NodeId) -> Iterator[int]:
        """The slots of all who check a present member."""
        slot, ring = self._table.slot_of(suspect), self._table.ring
        assert slot is not None, "only present members are checked"
        return (ring.successor(slot, -places) for places in range(1, min(self._challengers + 1, len(ring))))

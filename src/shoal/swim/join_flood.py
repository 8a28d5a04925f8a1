"""Whether joins are told one by one, or come so fast that members learn of them in bulk.

A join that is gossiped costs every member several times what a row of a view costs. In a quiet cluster that buys that
all know of it within a second. A thousand joins at once would take minutes: then each member keeps the joiners that it
hears of for the one that it follows (`following`), and learns of all others there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf
from typing import Final

from shoal.swim.allowance import Allowance
from shoal.swim.context import Context
from shoal.types import NodeId, Note

__all__ = ["LONGEST_PACE", "JoinFlood"]

_AT_ONCE: Final = 64
"""Joins that are gossiped however fast they come, after a quiet time."""
_PER_SECOND: Final = 5.0
"""And so many a second: more of them fill the queues of all members for as long as they go on."""
_STILL_SPREADING: Final = 10.0
"""Seconds for which a join that was gossiped may depend on others that pass it on."""
_MOST_WITHHELD: Final = 4096
"""Joiners that wait to be brought to the one that is followed; others told it of the oldest."""
_LEAST_PACE: Final = 5.0
LONGEST_PACE: Final = 10.0
"""Seconds between two times that a member asks, unless it is told that there is a lull."""
_LEAST_AHEAD: Final = 0.5
_AHEAD: Final = 8.0
"""Those who are followed themselves ask after so small a part of the time that the flood has lasted, and no fewer
seconds than that."""
_LULL: Final = 2.0
"""Seconds beyond two rounds without further joins after which they are told one by one again."""


class JoinFlood:
    """Counts joins, and remembers those that were not gossiped, or perhaps not by all."""

    __slots__ = ("_allowance", "_began", "_table", "_until", "listeners", "withheld")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._allowance = Allowance(_PER_SECOND, _AT_ONCE)
        self._began = self._until = -inf
        self.withheld: dict[NodeId, None] = {}
        """Joiners that this node knows of and still has to bring to the one that it follows."""
        self.listeners: list[Callable[[float], None]] = []
        """Called with the time whenever it goes on."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("withheld joiners", len(self.withheld), _MOST_WITHHELD)

    def pace(self, now: float, *, is_followed: bool | None = None) -> float:
        """Seconds between two times that a member asks for the joins that it has not heard of.

        As long as the flood has lasted, so that a member asks once or twice only, for more and more at a time: those
        who are followed tell it when there is a lull. This node's own pace, unless it is said whether the member is
        followed itself.
        """
        lasted = now - self._began if self.is_on(now) else 0.0
        is_ahead = self._table.arrivals.is_followed if is_followed is None else is_followed
        if is_ahead:
            return min(LONGEST_PACE / 4, max(_LEAST_AHEAD, lasted / _AHEAD))
        return min(LONGEST_PACE, max(_LEAST_PACE, lasted))

    def is_on(self, now: float) -> bool:
        """Whether joins are withheld."""
        return now < self._until

    def is_news(self, id: NodeId, now: float) -> bool:
        """Whether a member that is new here is to be gossiped; else it is kept among the withheld."""
        if not self.is_on(now) and self._allowance.left(now) >= 1.0:
            self._allowance.take(1.0)
            return True
        if not self.is_on(now):
            self.give_back(self._still_spreading(now))
        self.go_on(now)
        self.give_back((id,))
        return False

    def _still_spreading(self, now: float) -> Iterator[NodeId]:
        """Those who were gossiped just before the flood: whoever held it to be on by then passed them on to nobody."""
        table = self._table
        return (table.id(slot) for slot in table.ring if now - table.since(slot) <= _STILL_SPREADING)

    def take(self, most: int) -> list[NodeId]:
        """The withheld that have waited longest; whoever takes them tells of them."""
        taken = list(islice(self.withheld, most))
        for id in taken:
            del self.withheld[id]
        return taken

    def give_back(self, ids: Iterable[NodeId]) -> None:
        """Keep joiners for whoever is told next; beyond a bound, those that have waited longest go."""
        self.withheld |= dict.fromkeys(ids)
        while len(self.withheld) > _MOST_WITHHELD:
            del self.withheld[next(iter(self.withheld))]

    def go_on(self, now: float) -> None:
        """Joins still come in such numbers that they are not told one by one."""
        if not self.is_on(now):
            self._began = now
        self._until = now + 2 * self.pace(now) + _LULL
        for listener in self.listeners:
            listener(now)

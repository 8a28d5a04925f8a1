"""The range index of this node's view, made when it is asked for and dropped when nobody asks any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shoal.state.range_index import RangeIndex
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import NodeId

__all__ = ["IndexedView"]

_KEPT: Final = 5.0
"""Seconds for which an index is kept. Views of a cluster at rest are equal, and then it would only take room."""
_AGE_PER_MEMBER: Final = 1e-4
"""Seconds of age per member that an index may have although the view has changed. To make one takes about a
microsecond a member, so that no more than one part in a hundred of the time is spent on it."""


class IndexedView:
    """Makes an index where there is none, or only one that is outdated and old.

    An outdated index says what was so a moment ago; what is found with it is looked up in the table.
    """

    __slots__ = ("_index", "_made", "_table", "_timer", "_timers")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._timers = context.timers
        self._index: RangeIndex | None = None
        self._made = 0.0
        self._timer: Timer | None = None

    def index(self, now: float) -> RangeIndex:
        """The view as it is, or was a moment ago."""
        index = self._index
        if index is not None and (index.total == self._table.digest or self._is_young(index, now)):
            return index
        self._index = index = RangeIndex(self._table.terms())
        self._made = now
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timers.at(now + _KEPT, self._drop)
        return index

    def _is_young(self, index: RangeIndex, now: float) -> bool:
        return now - self._made < _AGE_PER_MEMBER * len(index)

    def note(self, ids: Iterable[NodeId]) -> None:
        """These members may have changed, and the comparison under way must see it."""
        if self._index is not None:
            for id in ids:
                self._index.set(id, self._table.term(id))

    def _drop(self, _now: float) -> None:
        self._index = self._timer = None

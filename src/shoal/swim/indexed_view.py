"""The range index of this node's view, made when it is asked for, kept up, and dropped when nobody asks any more."""

from __future__ import annotations

from typing import Final

from shoal.state.range_index import RangeIndex
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import Note

__all__ = ["IndexedView"]

_KEPT: Final = 5.0
"""Seconds for which an index is kept since it was asked for. Views of a cluster at rest are equal, and then it would
only take room."""
_FEW: Final = 16


class IndexedView:
    """Makes an index where there is none; else only members that changed since are looked at."""

    __slots__ = ("_index", "_table", "_timer", "_timers", "_used")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._timers = context.timers
        self._index: RangeIndex | None = None
        self._used = 0.0
        self._timer: Timer | None = None

    @property
    def is_at_hand(self) -> bool:
        """Whether there is an index, which costs next to nothing then."""
        return self._index is not None

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("indexed members", 0 if self._index is None else len(self._index), self._table.peak)

    def index(self, now: float) -> RangeIndex:
        """The view as it is."""
        self._used = now
        if self._timer is None:
            self._timer = self._timers.at(now + _KEPT, self._drop)
        index, table = self._index, self._table
        touched = table.touched
        if index is None or touched is None or len(touched) > len(index) // 8 + _FEW:
            index = self._index = RangeIndex(*table.terms())
        else:
            for id in touched:
                index.set(id, table.term(id))
        table.touched = set()
        return index

    def _drop(self, now: float) -> None:
        due = self._used + _KEPT
        if due > now:
            self._timer = self._timers.at(due, self._drop)
        else:
            self._index = self._timer = self._table.touched = None

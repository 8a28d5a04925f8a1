"""`Member` values, made when asked for and kept while they are asked for.

A value takes half a kilobyte, ten times what the table needs for a member, so a node whose values nobody reads keeps
none. Whoever reads them again and again pays for what changed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from shoal.types import Member

__all__ = ["Values"]

_PATIENCE: Final = 1024
"""Changes without a read after which values are kept no longer."""


class Values:
    """The values that were read lately, at most one for each row."""

    __slots__ = ("_all", "_kept", "_make", "_unread")

    def __init__(self, make: Callable[[int], Member]) -> None:
        self._make = make
        self._kept: dict[int, Member] = {}
        self._all: tuple[Member, ...] | None = None
        #: Changes since the last read.
        self._unread = 0

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, slot: int) -> None:
        """A row changed."""
        self._all = None
        if self._kept:
            self._kept.pop(slot, None)
            self._unread += 1
            if self._unread > _PATIENCE:
                self._kept.clear()

    def note_more(self) -> None:
        """Rows were added."""
        self._all = None

    def forget(self) -> None:
        """All rows are others now."""
        self._all = None
        self._kept.clear()

    def one(self, slot: int) -> Member:
        """The value of a row; it is not kept, for most are made for one event."""
        return self._kept.get(slot) or self._make(slot)

    def some(self, slots: Iterable[int]) -> tuple[Member, ...]:
        """The values of some rows."""
        self._unread = 0
        return tuple(map(self._keep, slots))

    def all(self, slots: Iterable[int]) -> tuple[Member, ...]:
        """The values of all rows, which are `slots`; the same tuple until a row changes."""
        if self._all is None:
            self._all = self.some(slots)
        return self._all

    def _keep(self, slot: int) -> Member:
        value = self._kept.get(slot)
        if value is None:
            value = self._kept[slot] = self._make(slot)
        return value

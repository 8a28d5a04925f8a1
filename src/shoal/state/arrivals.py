"""Which rows came into a table, in order, for as long as somebody follows them.

A *position* says how far in that order somebody is who was handed the rows before it. What is kept are four bytes for
each row that came since the first position that still counts, and nothing at all while nobody follows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

from shoal.types import Note

__all__ = ["Arrivals"]

_MOST: Final = 65_536
"""Rows. Of more, the older half is forgotten: whoever is so far behind is better served with the whole view."""


class Arrivals:
    """Slots in the order in which they were taken. A slot that was freed since stands for whoever is there now."""

    __slots__ = ("_first", "_slots")

    def __init__(self) -> None:
        #: The position before the first slot that is kept.
        self._first = 1
        self._slots: array[int] | None = None

    def __len__(self) -> int:
        return 0 if self._slots is None else len(self._slots)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("arrivals", len(self), _MOST)

    @property
    def is_followed(self) -> bool:
        """Whether arrivals are noted."""
        return self._slots is not None

    @property
    def position(self) -> int:
        """Behind the last row; at least 1."""
        return self._first + len(self)

    def follow(self) -> None:
        """Note arrivals from now on."""
        if self._slots is None:
            self._slots = array("i")

    def forget(self) -> None:
        """Note no more, and let no position that was given out count any longer."""
        self._first = self.position + 1
        self._slots = None

    def note(self, slots: Iterable[int]) -> None:
        """Rows came in."""
        kept = self._slots
        if kept is None:
            return
        kept.extend(slots)
        if len(kept) > _MOST:
            gone = len(kept) - _MOST // 2
            del kept[:gone]
            self._first += gone

    def since(self, position: int, until: int) -> list[int] | None:
        """The slots between two positions, each once; None if that is not known any more, or never was."""
        if self._slots is None or not self._first <= position <= until <= self.position:
            return None
        return list(dict.fromkeys(self._slots[position - self._first : until - self._first]))

"""Arrays of slots: two bytes each while all slots of a table fit in them, and then four."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

__all__ = ["array_of", "with_room"]

_MOST_NARROW: Final = 0xFFFF


def array_of(slots: Sequence[int]) -> array[int]:
    """These slots."""
    return array("H" if max(slots, default=0) <= _MOST_NARROW else "i", slots)


def with_room(slots: array[int], highest: int) -> array[int]:
    """The same array, or a copy of it where it has no room for `highest`."""
    return array("i", slots) if slots.typecode == "H" and highest > _MOST_NARROW else slots

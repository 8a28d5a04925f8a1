"""Present members on a ring: an order that is the same in every equal view, and as good as random.

Who stands before a member on the ring watches it: probes it regularly, and checks suspicions of it. So a few known
members watch each, without anybody assigning anything, and who they are changes only when one of them comes or goes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Final

__all__ = ["Ring"]

_random_half: Final[Callable[[bytes], bytes]] = itemgetter(slice(8, 16))
"""Of the UUIDv7 at the beginning of a record, so that members that started together do not stand together."""


class Ring:
    """A sorted array of slots: 4 bytes a member, and an insertion among 10,000 moves 40 kB, which takes microseconds.

    It also is the dense list of present rows, from which one is drawn at random.
    """

    __slots__ = ("_last", "_records", "_slots")

    def __init__(self, records: list[bytes]) -> None:
        """Of rows whose records stand in `records`; a row's id must not change while it is on the ring."""
        self._records = records
        self._slots = array("i")
        #: Where the last member that was looked for stood; mostly it is this node itself, and stands there still.
        self._last = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, place: int) -> int:
        return self._slots[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._slots)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self._slots) * self._slots.itemsize

    def add(self, slot: int) -> None:
        """A member became present."""
        self._slots.insert(self._search(slot), slot)

    def extend(self, slots: Sequence[int]) -> None:
        """Many did."""
        self._slots.extend(slots)
        keys = list(map(_random_half, map(self._records.__getitem__, self._slots)))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._slots = array("i", map(self._slots.__getitem__, order))

    def copy_places(self, other: Ring) -> None:
        """Hold the members of another ring, whose records are the same."""
        self._slots = other._slots[:]

    def remove(self, slot: int) -> None:
        """It is present no more."""
        del self._slots[self.place(slot)]

    def successor(self, slot: int, places: int) -> int:
        """Who stands so many places after a member on the ring."""
        return self._slots[(self.place(slot) + places) % len(self._slots)]

    def places_between(self, start: int, end: int) -> int:
        """How many places `end` stands after `start`; both are on the ring."""
        return (self.place(end) - self.place(start)) % len(self._slots)

    def place(self, slot: int) -> int:
        """Where a member stands, which is on the ring."""
        if self._last >= len(self._slots) or self._slots[self._last] != slot:
            place = self._search(slot)
            while self._slots[place] != slot:  # Forged ids may share their random half.
                place += 1
            self._last = place
        return self._last

    def _search(self, slot: int) -> int:
        return bisect_left(self._slots, self._key(slot), key=self._key)

    def _key(self, slot: int) -> bytes:
        return _random_half(self._records[slot])

"""An index of slots that costs four bytes an entry: open addressing in one array.

The keys are not stored: an entry is compared with the key in the record of its row. Where an entry lies depends on
`hash`, which differs from process to process for bytes, so nothing iterates over an index.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["SlotIndex"]

_FREE: Final = -1
_SMALLEST: Final = 8


class SlotIndex:
    """Rows by one key of their records; at most two of three places are taken.

    Collisions go to the next free place, and whoever leaves lets those behind it move up, so that no gravestones pile
    up. Keys that are chosen to collide are chosen in vain, because the hash of bytes is keyed.
    """

    __slots__ = ("_count", "_key_of", "_mask", "_places", "_records")

    def __init__(self, records: list[bytes], key_of: Callable[[bytes], bytes]) -> None:
        """Of the rows whose records stand in `records`, which may grow and change; `key_of` takes the key out of one.

        A row's record must not change between `add` and `remove` in what makes its key.
        """
        self._records = records
        self._key_of = key_of
        self._places = array("i", [_FREE]) * _SMALLEST
        self._mask = _SMALLEST - 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes that the entries take."""
        return len(self._places) * self._places.itemsize

    def find(self, key: bytes) -> int | None:
        """The row with a key."""
        places, mask = self._places, self._mask
        place = hash(key) & mask
        while (slot := places[place]) >= 0:
            if self._key_of(self._records[slot]) == key:
                return slot
            place = place + 1 & mask
        return None

    def add(self, key: bytes, slot: int) -> None:
        """List a row under its key, which no other row has."""
        self._count += 1
        if 3 * self._count > 2 * len(self._places):
            self._grow()
        places, mask = self._places, self._mask
        place = hash(key) & mask
        while places[place] >= 0:
            place = place + 1 & mask
        places[place] = slot

    def extend(self, keys: Iterable[bytes], slots: Sequence[int]) -> None:
        """List many rows."""
        self._count += len(slots)
        if 3 * self._count > 2 * len(self._places):
            self._grow()
        self._fill(keys, slots)

    def _fill(self, keys: Iterable[bytes], slots: Sequence[int]) -> None:
        places, mask = self._places, self._mask
        for hashed, slot in zip(map(hash, keys), slots, strict=True):
            place = hashed & mask
            while places[place] >= 0:
                place = place + 1 & mask
            places[place] = slot

    def copy_rows(self, other: SlotIndex) -> None:
        """List the same rows as another index, by the same key."""
        self._places, self._mask, self._count = other._places[:], other._mask, other._count

    def remove(self, slot: int) -> None:
        """List a row no more."""
        places, mask = self._places, self._mask
        place = self._home(slot)
        while places[place] != slot:
            place = place + 1 & mask
        self._count -= 1
        gap = place
        while True:
            place = place + 1 & mask
            follower = places[place]
            if follower < 0:
                break
            # It may move up unless it would come to lie in front of where a search for it begins.
            if place - self._home(follower) & mask >= place - gap & mask:
                places[gap] = follower
                gap = place
        places[gap] = _FREE

    def _home(self, slot: int) -> int:
        return hash(self._key_of(self._records[slot])) & self._mask

    def _grow(self) -> None:
        """Take so many places that there is room for all that are counted."""
        slots = [slot for slot in self._places if slot >= 0]
        size = len(self._places)
        while 3 * self._count > 2 * size:
            size *= 2
        self._places = array("i", [_FREE]) * size
        self._mask = size - 1
        self._fill([self._key_of(self._records[slot]) for slot in slots], slots)

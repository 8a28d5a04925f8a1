"""An index of slots that costs four bytes an entry: open addressing in one array.

The keys are not stored: an entry is compared with the key in the record of its row. Where an entry lies depends on
`hash`, which differs from process to process for bytes, so nothing iterates over an index.

An entry is the slot, and above it 12 bits of the hash of its key, so that hardly ever a record is looked at whose key
is another. From a million slots on there is no room for these.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["SlotIndex", "largest_size"]

_FREE: Final = 0xFFFF_FFFF
_SMALLEST: Final = 8
_TAG: Final = 0xFFF0_0000
_TAG_SHIFT: Final = 24
"""From the bits 44 to 55 of a hash, which no index is so large as to place its entries by, to the top of an entry."""
_MOST_TAGGED: Final = 0x000F_FFFE
_MOST: Final = 0xFFFF_FFFE
_FEW: Final = 16
"""Keys that are looked for at once, for each entry: from there on a dict of the entries finds them sooner."""


class SlotIndex:
    """Rows by one key of their records; at most two of three places are taken.

    Collisions go to the next free place, and whoever leaves lets those behind it move up, so that no gravestones pile
    up. Keys that are chosen to collide are chosen in vain, because the hash of bytes is keyed.
    """

    __slots__ = ("_count", "_key_of", "_keys_of", "_mask", "_most", "_places", "_records", "_tag")

    def __init__(
        self,
        records: list[bytes],
        key_of: Callable[[bytes], bytes],
        keys_of: Callable[[Sequence[bytes]], Iterable[bytes]],
    ) -> None:
        """Of the rows whose records stand in `records`, which may grow and change.

        `key_of` takes the key out of one record, `keys_of` those out of many.

        A row's record must not change between `add` and `remove` in what makes its key.
        """
        self._records = records
        self._key_of = key_of
        self._keys_of = keys_of
        self._places = array("I", [_FREE]) * _SMALLEST
        self._mask = _SMALLEST - 1
        self._count = 0
        #: Which bits of an entry are its tag, and the highest slot below them.
        self._tag = _TAG
        self._most = _MOST_TAGGED

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes that the entries take."""
        return len(self._places) * self._places.itemsize

    def find(self, key: bytes) -> int | None:
        """The row with a key."""
        places, mask, most = self._places, self._mask, self._most
        hashed = hash(key)
        place, tag = hashed & mask, hashed >> _TAG_SHIFT & self._tag
        while (entry := places[place]) != _FREE:
            slot = entry ^ tag
            if slot <= most and self._key_of(self._records[slot]) == key:
                return slot
            place = place + 1 & mask
        return None

    def find_all(self, keys: Sequence[bytes]) -> list[int]:
        """The row of each key, or -1."""
        if _FEW * self._count < len(keys):  # A joiner's first view: it knows itself, and hardly anybody else.
            held = {self._key_of(self._records[slot]): slot for slot in self._slots()}
            return [held.get(key, -1) for key in keys]
        places, mask, most, tag_bits = self._places, self._mask, self._most, self._tag
        records, key_of = self._records, self._key_of
        found: list[int] = []
        for key in keys:
            hashed = hash(key)
            place = hashed & mask
            entry, slot = places[place], -1
            while entry != _FREE:
                slot = entry ^ hashed >> _TAG_SHIFT & tag_bits
                if slot <= most and key_of(records[slot]) == key:
                    break
                place, slot = place + 1 & mask, -1
                entry = places[place]
            found.append(slot)
        return found

    def add(self, key: bytes, slot: int) -> None:
        """List a row under its key, which no other row has."""
        self._make_room(1, slot)
        self._fill((key,), (slot,))

    def extend(self, keys: Iterable[bytes], slots: Sequence[int]) -> None:
        """List many rows."""
        if slots:
            self._make_room(len(slots), max(slots))
            self._fill(keys, slots)

    def _fill(self, keys: Iterable[bytes], slots: Iterable[int]) -> None:
        places, mask, tag_bits = self._places, self._mask, self._tag
        for hashed, slot in zip(map(hash, keys), slots, strict=True):
            place = hashed & mask
            while places[place] != _FREE:
                place = place + 1 & mask
            places[place] = hashed >> _TAG_SHIFT & tag_bits | slot

    def copy_rows(self, other: SlotIndex) -> None:
        """List the same rows as another index, by the same key."""
        self._places, self._mask, self._count = other._places[:], other._mask, other._count
        self._tag, self._most = other._tag, other._most

    def remove(self, slot: int) -> None:
        """List a row no more."""
        places, mask = self._places, self._mask
        hashed = self._hash(slot)
        place, entry = hashed & mask, hashed >> _TAG_SHIFT & self._tag | slot
        while places[place] != entry:
            place = place + 1 & mask
        self._count -= 1
        gap = place
        while True:
            place = place + 1 & mask
            follower = places[place]
            if follower == _FREE:
                break
            # It may move up unless it would come to lie in front of where a search for it begins.
            if place - self._hash(follower & ~self._tag) & mask >= place - gap & mask:
                places[gap] = follower
                gap = place
        places[gap] = _FREE

    def _hash(self, slot: int) -> int:
        return hash(self._key_of(self._records[slot]))

    def _slots(self) -> list[int]:
        return [entry & ~self._tag for entry in self._places if entry != _FREE]

    def _make_room(self, more: int, highest: int) -> None:
        """Take so many places that there is room for more rows, the highest of which is given."""
        self._count += more
        is_above = highest > self._most
        if 3 * self._count <= 2 * len(self._places) and not is_above:
            return
        slots = self._slots()
        if is_above:
            self._tag, self._most = 0, _MOST
        size = len(self._places)
        while 3 * self._count > 2 * size:
            size *= 2
        self._places = array("I", [_FREE]) * size
        self._mask = size - 1
        self._fill(self._keys_of([self._records[slot] for slot in slots]), slots)


def largest_size(rows: int) -> int:
    """Bytes that an index may take which never had more rows."""
    return array("I").itemsize * max(_SMALLEST, 3 * rows)

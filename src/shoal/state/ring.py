"""Present members on a ring: an order that is the same in every equal view, and as good as random.

Who stands before a member on the ring watches it: probes it regularly, and checks suspicions of it. So a few known
members watch each, without anybody assigning anything, and who they are changes only when one of them comes or goes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from struct import unpack
from typing import Final

from shoal.state.slots import array_of, with_room
from shoal.types import NodeId

__all__ = ["Ring"]

_random_half: Final[Callable[[bytes], bytes]] = itemgetter(slice(8, 16))
"""Of the UUIDv7 at the beginning of a record, so that members that started together do not stand together."""
_HEAD: Final = NodeId.HEAD_SIZE
_MANY: Final = 4
"""If one of so many members is new, it takes less to sort all anew."""


class Ring:
    """A sorted array of slots, and one of the heads of what they are sorted by, in which a place is searched for.

    6 bytes a member, and an insertion among 10,000 moves 60 kB, which takes microseconds. It also is the dense list of
    present rows, from which one is drawn at random.
    """

    __slots__ = ("_heads", "_last", "_records", "_slots")

    def __init__(self, records: list[bytes]) -> None:
        """Of rows whose records stand in `records`; a row's id must not change while it is on the ring."""
        self._records = records
        self._slots = array_of(())
        self._heads = array("I")
        #: Where the last member that was looked for stood; mostly it is this node itself, and stands there still.
        self._last = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, place: int) -> int:
        return self._slots[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._slots)

    def slots(self) -> array[int]:
        """A copy of its slots."""
        return self._slots[:]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self._slots) * (self._slots.itemsize + self._heads.itemsize)

    def add(self, slot: int) -> None:
        """A member became present."""
        key = self._key(slot)
        place = self._search(key)
        self._slots = with_room(self._slots, slot)
        self._slots.insert(place, slot)
        self._heads.insert(place, _head(key))

    def extend(self, slots: Sequence[int]) -> None:
        """Many did."""
        if _MANY * len(slots) > len(self._slots):
            self._sort((*self._slots, *slots))
        else:
            self._weave(slots)

    def _sort(self, slots: Sequence[int]) -> None:
        keys = list(map(_random_half, map(self._records.__getitem__, slots)))
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._slots = array_of([slots[place] for place in order])
        self._heads = array("I", unpack(f">{len(order)}I", b"".join([keys[place][:_HEAD] for place in order])))

    def _weave(self, slots: Sequence[int]) -> None:
        """Put a few between the others."""
        old_slots, old_heads, before = with_room(self._slots, max(slots, default=0)), self._heads, 0
        new_slots, new_heads = array(old_slots.typecode), array("I")
        for key, slot in sorted([(self._key(slot), slot) for slot in slots]):
            place = self._search(key)
            new_slots += old_slots[before:place]
            new_heads += old_heads[before:place]
            new_slots.append(slot)
            new_heads.append(_head(key))
            before = place
        self._slots, self._heads = new_slots + old_slots[before:], new_heads + old_heads[before:]

    def copy_places(self, other: Ring) -> None:
        """Hold the members of another ring, whose records are the same."""
        self._slots, self._heads = other._slots[:], other._heads[:]

    def remove(self, slot: int) -> None:
        """It is present no more."""
        place = self.place(slot)
        del self._slots[place], self._heads[place]

    def first_with(self, head: bytes) -> int | None:
        """The first member whose id has this head (`NodeId.head`)."""
        number, heads = int.from_bytes(head), self._heads
        place = bisect_left(heads, number)
        return self._slots[place] if place < len(heads) and heads[place] == number else None

    def successor(self, slot: int, places: int) -> int:
        """Who stands so many places after a member on the ring."""
        return self._slots[(self.place(slot) + places) % len(self._slots)]

    def places_between(self, start: int, end: int) -> int:
        """How many places `end` stands after `start`; both are on the ring."""
        return (self.place(end) - self.place(start)) % len(self._slots)

    def place(self, slot: int) -> int:
        """Where a member stands, which is on the ring."""
        if self._last >= len(self._slots) or self._slots[self._last] != slot:
            place = self._search(self._key(slot))
            while self._slots[place] != slot:  # Forged ids may share their random half.
                place += 1
            self._last = place
        return self._last

    def _search(self, key: bytes) -> int:
        head, heads, slots = _head(key), self._heads, self._slots
        place = bisect_left(heads, head)
        while place < len(heads) and heads[place] == head and self._key(slots[place]) < key:
            place += 1  # Of 10,000 members hardly two share so much.
        return place

    def _key(self, slot: int) -> bytes:
        return _random_half(self._records[slot])


def _head(key: bytes) -> int:
    return int.from_bytes(key[:_HEAD])

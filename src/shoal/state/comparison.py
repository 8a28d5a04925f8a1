"""What a snapshot says that a table does not hold already, told apart in bulk.

Nearly all rows of a snapshot are equal to ours, or all are of members that we have never heard of. These need no rule
to be weighed: equal rows change nothing, and a stranger that is alive and whose name and address are free simply comes
in. Both are looked up in bulk; every other row is left to the rules, one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from shoal.records import RecordCodec
from shoal.snapshot import Snapshot
from shoal.state.index import SlotIndex
from shoal.types import MemberState

__all__ = ["Comparison", "Indexes", "NewRows", "compare"]

_ALIVE: Final = int(MemberState.ALIVE)
_STATE_MASK: Final = 3


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows of a snapshot that may come in as they are: alive, and nobody has their id, name or address.

    In columns, with the keys by which the table indexes them.
    """

    numbers: list[int]
    """Which rows of the snapshot they are, in order."""
    records: list[bytes]
    beliefs: list[int]
    ids: list[bytes]
    names: list[bytes]
    addresses: list[bytes]

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, places: Iterable[int]) -> NewRows:
        """Some of them."""
        pick = itemgetter(*places, 0, 0)  # of two at least, so that it always makes a tuple
        columns = (self.numbers, self.records, self.beliefs, self.ids, self.names, self.addresses)
        return NewRows(*(list(pick(column)[:-2]) for column in columns))


_NONE: Final = NewRows([], [], [], [], [], [])


@dataclass(frozen=True, slots=True)
class Indexes:
    """The rows of a table by what no two of them share; by address, present members alone."""

    by_id: SlotIndex
    by_name: SlotIndex
    by_address: SlotIndex


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows of a snapshot, by what is to be done about them."""

    equal: int
    """How many are held here just so."""
    new: NewRows
    other: list[int]
    """The numbers of all others, in order."""


def compare(
    snapshot: Snapshot,
    records: Sequence[bytes],
    beliefs: Sequence[int],
    indexes: Indexes,
    codec: RecordCodec,
    *,
    room: int,
    not_new: Collection[bytes] = (),
) -> Comparison:
    """Hold a snapshot against the columns of a table, by its indexes.

    At most `room` rows come out as new, and none with an id in `not_new`.
    """
    ids = snapshot.ids
    strange: list[int] = []
    other: list[int] = []
    equal = 0
    for row, slot in enumerate(indexes.by_id.find_all(ids)):
        if slot < 0:
            strange.append(row)
        elif records[slot] == snapshot.records[row] and beliefs[slot] == snapshot.beliefs[row]:
            equal += 1
        else:
            other.append(row)
    if not strange:
        return Comparison(equal, _NONE, other)
    alive = [row for row in strange if snapshot.beliefs[row] & _STATE_MASK == _ALIVE]
    new = _unclaimed(_rows(snapshot, ids, alive, codec), indexes, not_new)
    if len(new) > room:
        new = new.only(range(room))
    if len(new) < len(strange):
        other = sorted({*strange, *other}.difference(new.numbers))
    return Comparison(equal, new, other)


def _rows(snapshot: Snapshot, ids: list[bytes], numbers: list[int], codec: RecordCodec) -> NewRows:
    if len(numbers) == len(ids):  # a joiner's first view
        return NewRows(numbers, snapshot.records, list(snapshot.beliefs), ids, *codec.keys(snapshot.records))
    records = [snapshot.records[number] for number in numbers]
    beliefs = [snapshot.beliefs[number] for number in numbers]
    return NewRows(numbers, records, beliefs, [ids[number] for number in numbers], *codec.keys(records))


def _unclaimed(rows: NewRows, indexes: Indexes, not_new: Collection[bytes]) -> NewRows:
    """Those whose id, name and address nobody else has; that nobody here has the id is known."""
    claimed = {
        *(place for place, id in enumerate(rows.ids) if id in not_new),
        *_claimed(rows.ids, ()),
        *_claimed(rows.names, indexes.by_name.find_all(rows.names)),
        *_claimed(rows.addresses, indexes.by_address.find_all(rows.addresses)),
    }
    return rows.only(place for place in range(len(rows)) if place not in claimed) if claimed else rows


def _claimed(keys: list[bytes], held: Sequence[int]) -> Iterator[int]:
    """The places of keys that somebody here has, or that are there more than once."""
    if max(held, default=-1) >= 0:
        yield from (place for place, slot in enumerate(held) if slot >= 0)
    if len(set(keys)) < len(keys):
        counts = Counter(keys)
        yield from (place for place, key in enumerate(keys) if counts[key] > 1)

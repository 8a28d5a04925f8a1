"""What a snapshot says that a table does not hold already, told apart in bulk.

Nearly all rows of a snapshot are equal to ours, or all are of members that we have never heard of. These need no rule
to be weighed: equal rows change nothing, and a stranger that is alive and whose name and address are free simply comes
in. Both are found with a few set operations; every other row is left to the rules, one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from shoal.records import RecordCodec
from shoal.snapshot import Snapshot
from shoal.types import MemberState, NodeId

__all__ = ["Comparison", "NewRows", "compare"]

_ALIVE: Final = int(MemberState.ALIVE)
_LAST_PRESENT: Final = int(MemberState.SUSPECT)
_STATE_MASK: Final = 3
_WORTH_IT: Final = 32
"""With fewer strangers than this, looking through all our rows for them costs more than it saves."""

_id_of: Final = itemgetter(slice(NodeId.SIZE))


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
    codec: RecordCodec,
    *,
    room: int,
    not_new: Collection[bytes] = (),
) -> Comparison:
    """Hold a snapshot against the columns of a table, in which a row without a member has an empty record.

    At most `room` rows come out as new, and none with an id in `not_new`.
    """
    slots = dict(zip(records, range(len(records)), strict=True))
    held = list(map(slots.get, snapshot.records))
    strange = [row for row, slot in enumerate(held) if slot is None]
    differ = [row for row, slot in enumerate(held) if slot is not None and beliefs[slot] != snapshot.beliefs[row]]
    worth_it = len(strange) >= _WORTH_IT
    alive = [row for row in strange if worth_it and snapshot.beliefs[row] & _STATE_MASK == _ALIVE]
    new = _unclaimed(_rows(snapshot, alive, codec), records, beliefs, codec, not_new)
    if len(new) > room:
        new = new.only(range(room))
    other = sorted({*strange, *differ}.difference(new.numbers))
    return Comparison(len(held) - len(strange) - len(differ), new, other)


def _rows(snapshot: Snapshot, numbers: list[int], codec: RecordCodec) -> NewRows:
    records = [snapshot.records[number] for number in numbers]
    beliefs = [snapshot.beliefs[number] for number in numbers]
    return NewRows(numbers, records, beliefs, list(map(_id_of, records)), *codec.keys(records))


def _unclaimed(
    rows: NewRows,
    records: Sequence[bytes],
    beliefs: Sequence[int],
    codec: RecordCodec,
    not_new: Collection[bytes],
) -> NewRows:
    """Those whose id, name and address nobody else has."""
    if not rows:
        return rows
    ours = [record for record in records if record]
    present = [record for record, belief in zip(records, beliefs, strict=True) if belief & _STATE_MASK <= _LAST_PRESENT]
    claimed = {
        *_claimed(rows.ids, {*map(_id_of, ours), *not_new}),
        *_claimed(rows.names, set(codec.keys(ours)[0])),
        *_claimed(rows.addresses, set(codec.keys(present)[1])),
    }
    return rows.only(place for place in range(len(rows)) if place not in claimed) if claimed else rows


def _claimed(keys: list[bytes], taken: set[bytes]) -> Iterable[int]:
    """The places of keys that are taken, or there more than once."""
    distinct = set(keys)
    if len(distinct) == len(keys) and taken.isdisjoint(distinct):
        return ()
    counts = Counter(keys)
    return [place for place, key in enumerate(keys) if counts[key] > 1 or key in taken]

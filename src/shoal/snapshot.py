"""A view, or a part of one, in columns: what one node hands another in bulk.

The member table makes one (`MemberTable.snapshot`), a dialect writes and reads it, and `Membership.merge` takes it in.
Nothing in it is an object per field, so that 10,000 rows cost milliseconds: a dialect reads a column with one call of
`struct`, `array` or `bytes.split`, cuts the records out of one block of bytes, and checks them before it hands them on,
in bulk where it can (all names at once, each distinct tag set once).

A *record* is what a node publishes of itself as the dialect writes it in a gossiped `Alive`: for the native dialect,
`shoal.wire.fields.write_info`, with the 16 bytes of the id first. Equal infos have equal records, and the very `bytes`
that come in are kept by the table.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal.types import NodeId

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Row i is `(beliefs[i], ages[i], records[i])`; rows are in no particular order, and an id is there once."""

    beliefs: array[int]
    """Type code `Q`: incarnation and state, packed as `shoal.state.precedence.pack` does."""
    ages: array[float]
    """Type code `d`: seconds since the sender first held the state, 0 or more. A dialect may round up to whole seconds,
    never down: a tombstone must not get younger by travelling."""
    records: list[bytes]
    """What each node published of itself."""
    testimonies: Mapping[int, bytes] = field(default_factory=dict)
    """By number of the row, what proves that its member is gone, where members sign: the signatures of its witnesses if
    it is dead, its own if it left (`shoal.wire.witnesses`). Few rows have one."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ids(self) -> list[bytes]:
        """The id of each row."""
        return [record[: NodeId.SIZE] for record in self.records]

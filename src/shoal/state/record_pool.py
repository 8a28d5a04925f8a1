"""Equal records of the nodes of one process are one object.

A process that runs thousands of nodes, a simulation or a benchmark, holds every record thousands of times, unless its
nodes share them. A process with one node has nothing to share, and pays nothing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RecordPool"]

_MAX_RECORDS: Final = 32_768
"""The pool begins anew when it holds so many: a few megabytes, most of which tables hold anyway."""


class RecordPool:
    """Gives everybody the record that the first one brought; in use from its second user on."""

    __slots__ = ("_records", "_users")

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}
        self._users = 0

    def __len__(self) -> int:
        return len(self._records)

    def enter(self) -> None:
        """Another table uses the pool."""
        self._users += 1

    def share(self, records: list[bytes]) -> list[bytes]:
        """The records, in the form of those that are here already."""
        if self._users < 2:
            return records
        if len(self._records) + len(records) > _MAX_RECORDS:
            self._records.clear()
        return list(map(self._records.setdefault, records, records))

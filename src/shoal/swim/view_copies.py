"""The whole view as the bytes that a joiner gets, made once for many of them."""

from __future__ import annotations

from typing import Final

from shoal.snapshot import Snapshot
from shoal.swim.allowance import Allowance
from shoal.swim.context import Context
from shoal.types import NodeId
from shoal.wire.messages import SyncResponse

__all__ = ["ViewCopies"]

_AGE_PER_MEMBER: Final = 1e-4
"""Seconds of age per row that a copy may have although the view has changed. To make one takes about a microsecond a
member, so that no more than one part in a hundred of the time is spent on it; what it lacks, gossip and comparisons
bring."""
_WORTH_COMPRESSING: Final = 64
"""Rows. A smaller view fits in a few segments in any case."""
_ROWS_PER_SECOND: Final = 200_000.0
"""Rows in whole views that a node hands out: 20 views of 10,000 members, or 2,000 of 100."""


class ViewCopies:
    """Hands out the whole view, tombstones too, as one reply to whoever asks for everything."""

    __slots__ = ("_allowance", "_compressed", "_dialect", "_made", "_of_generation", "_plain", "_rows", "_table")

    def __init__(self, context: Context) -> None:
        self._dialect = context.dialect
        self._table = context.table
        self._allowance = Allowance(_ROWS_PER_SECOND)
        self._of_generation = -1
        self._made = 0.0
        self._rows = 0
        self._plain = b""
        self._compressed: bytes | None = None

    def is_spent(self, now: float) -> bool:
        """Whether so many were handed out lately that others should be asked."""
        return self._allowance.left(now) <= 0.0

    def get(self, own_id: NodeId, *, compressed: bool, now: float) -> bytes:
        """The reply; `compressed` if the peer takes that and this process can."""
        self._allowance.take(len(self._table))
        if not self._is_fresh(now):
            self._make(own_id, now)
        if not compressed or self._rows < _WORTH_COMPRESSING:
            return self._plain
        if self._compressed is None:
            self._compressed = self._dialect.compress(self._plain)
        return self._compressed

    def _is_fresh(self, now: float) -> bool:
        if not self._plain:
            return False
        is_young = now - self._made < _AGE_PER_MEMBER * self._rows
        return is_young or self._of_generation == self._table.generation

    def _make(self, own_id: NodeId, now: float) -> None:
        rows: Snapshot = self._table.snapshot(now)
        response = SyncResponse(0, self._table.digest, own_id, self._dialect.can_compress, [], [], rows)
        self._plain, self._compressed = self._dialect.encode(response), None
        self._of_generation, self._made, self._rows = self._table.generation, now, len(rows)

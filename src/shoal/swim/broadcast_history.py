"""Which user broadcasts were seen, so that each is delivered and passed on once."""

from __future__ import annotations

from shoal.types import NodeId, Note

__all__ = ["BroadcastHistory"]


class BroadcastHistory:
    """A bounded memory of `(origin, number)`; the oldest are forgotten first."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: dict[tuple[NodeId, int], None] = {}

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("remembered broadcasts", len(self._seen), self._limit)

    def is_new(self, origin: NodeId, number: int) -> bool:
        """True the first time, and remembered from then on."""
        key = (origin, number)
        if key in self._seen:
            return False
        if len(self._seen) >= self._limit:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return True

"""A view as a sorted list, in which any range of ids can be summed up, split and listed.

Each present member counts with its term in the digest of the view, so equal sums mean equal ranges as equal digests
mean equal views. What goes over the wire is the top half of a sum or term times a salt: an exchange that is misled by
chance, once in four billion differences, is not misled again, for the next one has another salt.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from shoal.types import NodeId, shared_length

__all__ = ["RangeIndex"]

_MASK = (1 << 64) - 1
_HALF = 32


class RangeIndex:
    """The present members of one moment; 80 bytes each. A *span* is a range of positions in it."""

    __slots__ = ("_ids", "_terms", "total")

    def __init__(self, ids: Sequence[bytes], terms: Sequence[int]) -> None:
        """Of ids, in any order, and the term of each."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = [ids[place] for place in order]
        self._terms = array("Q", [terms[place] for place in order])
        self.total = sum(terms) & _MASK
        """The sum of everything: the digest of the view that it is an index of."""

    def __len__(self) -> int:
        return len(self._ids)

    def set(self, id: bytes, term: int | None) -> None:
        """A member counts with another term, or no more."""
        at = bisect_left(self._ids, id)
        is_there = at < len(self._ids) and self._ids[at] == id
        before = self._terms[at] if is_there else 0
        if term is None:
            if is_there:
                del self._ids[at], self._terms[at]
        elif is_there:
            self._terms[at] = term
        else:
            self._ids.insert(at, id)
            self._terms.insert(at, term)
        self.total = (self.total - before + (term or 0)) & _MASK

    def span(self, start: bytes, end: bytes) -> range:
        """Where the ids from `start` up to but without `end` are; no bytes stand for either end of all ids."""
        first = bisect_left(self._ids, start)
        return range(first, max(first, bisect_left(self._ids, end)) if end else len(self._ids))

    def fingerprint(self, span: range, salt: int) -> int:
        """The salted sum of a span, 32 bits."""
        return _salted(sum(self._terms[span.start : span.stop]), salt)

    def values(self, span: range, salt: int) -> list[int]:
        """The salted term of each member of a span, 32 bits each."""
        return [(term * salt & _MASK) >> _HALF for term in self._terms[span.start : span.stop]]

    def id(self, position: int) -> NodeId:
        """Who stands there."""
        return NodeId(self._ids[position])

    def split(self, span: range, parts: int, end: bytes) -> list[tuple[bytes, range]]:
        """Cut a span into nearly equal parts: the end of each, the last one's being `end`, and where it lies."""
        cuts = [span.start + len(span) * number // parts for number in range(1, parts)]
        cuts = [cut for cut in dict.fromkeys(cuts) if cut > span.start]
        starts, ends = [span.start, *cuts], [*map(self._bound, cuts), end]
        return [
            (bound, range(first, last)) for bound, first, last in zip(ends, starts, [*cuts, span.stop], strict=True)
        ]

    def _bound(self, position: int) -> bytes:
        """The shortest beginning of an id that comes after the id before it."""
        id = self._ids[position]
        return id[: shared_length(id, self._ids[position - 1]) + 1]


def _salted(total: int, salt: int) -> int:
    return (total * salt & _MASK) >> _HALF

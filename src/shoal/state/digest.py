"""A view in 64 bits: equal digests mean equal views.

The digest is the sum, modulo 2^64, of a keyed hash of every present member's `(id, belief)`. A sum can be kept up in
O(1) per change and, unlike an XOR, does not cancel when a record is counted twice; the key keeps outsiders from
choosing records whose hashes add up to nothing. Tombstones do not count, because each node forgets them in its own
time.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import add
from struct import Struct, unpack
from typing import Final

__all__ = ["ViewDigest"]

_MASK: Final = (1 << 64) - 1
_BELIEF: Final = Struct(">Q")


class ViewDigest:
    """A running digest of `(id, belief)` pairs."""

    __slots__ = ("_begun", "value")

    def __init__(self, key: bytes) -> None:
        #: The keyed hash with nothing in it yet: a copy of it costs half of what keying anew does.
        self._begun = blake2b(digest_size=8, key=blake2b(key, digest_size=16).digest())
        self.value = 0

    def add(self, id: bytes, belief: int) -> int:
        """Count a pair in. Returns its term."""
        term = self.term(id, belief)
        self.value = (self.value + term) & _MASK
        return term

    def remove(self, term: int) -> None:
        """Count a pair out that was counted in, by its term."""
        self.value = (self.value - term) & _MASK

    def extend(self, ids: Iterable[bytes], beliefs: Iterable[int]) -> tuple[int, ...]:
        """Count many pairs in. Returns their terms."""
        terms = self.terms(ids, beliefs)
        self.value = (self.value + sum(terms)) & _MASK
        return terms

    def term(self, id: bytes, belief: int) -> int:
        """What one pair counts for: 64 bits."""
        hashed = self._begun.copy()
        hashed.update(id + belief.to_bytes(8))
        return int.from_bytes(hashed.digest())

    def terms(self, ids: Iterable[bytes], beliefs: Iterable[int]) -> tuple[int, ...]:
        """What each pair counts for."""
        begin, hashed = self._begun.copy, []
        for pair in map(add, ids, map(_BELIEF.pack, beliefs)):
            one = begin()
            one.update(pair)
            hashed.append(one.digest())
        return unpack(f">{len(hashed)}Q", b"".join(hashed))

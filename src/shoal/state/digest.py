"""A view in 64 bits: equal digests mean equal views.

The digest is the sum, modulo 2^64, of a keyed hash of every present member's `(id, belief)`. A sum can be kept up in
O(1) per change and, unlike an XOR, does not cancel when a record is counted twice; the key keeps outsiders from
choosing records whose hashes add up to nothing. Tombstones do not count, because each node forgets them in its own
time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from shoal.types import NodeId

__all__ = ["ViewDigest"]

_MASK: Final = (1 << 64) - 1


class ViewDigest:
    """A running digest of `(id, belief)` pairs."""

    __slots__ = ("_key", "value")

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=16).digest()
        self.value = 0

    def add(self, id: NodeId, belief: int) -> None:
        """Count a pair in."""
        self.value = (self.value + self.term(id, belief)) & _MASK

    def remove(self, id: NodeId, belief: int) -> None:
        """Count a pair out that was counted in."""
        self.value = (self.value - self.term(id, belief)) & _MASK

    def term(self, id: NodeId, belief: int) -> int:
        """What one pair counts for: 64 bits."""
        return int.from_bytes(blake2b(id + belief.to_bytes(8), digest_size=8, key=self._key).digest())

"""How much of something may be given out: a rate, with some in hand."""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """Grows by `per_second` up to one second's worth, which it begins with."""

    __slots__ = ("_at", "_left", "_per_second")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._at = 0.0

    def left(self, now: float) -> float:
        """What may be taken now."""
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left

    def take(self, amount: float) -> None:
        """So much was given out; more than is left is a debt."""
        self._left -= amount

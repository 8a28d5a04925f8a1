"""How much of something may be given out: a rate, with some in hand."""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """Grows by `per_second` up to `most`, which it begins with: one second's worth unless it is given."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, per_second: float, most: float | None = None) -> None:
        self._per_second = per_second
        self._most = per_second if most is None else most
        self._left = self._most
        self._at = 0.0

    def left(self, now: float) -> float:
        """What may be taken now."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left

    def take(self, amount: float) -> None:
        """So much was given out; more than is left is a debt."""
        self._left -= amount

"""Which numbered messages of one sender have come already."""

from __future__ import annotations

__all__ = ["WINDOW", "ReplayWindow"]

WINDOW = 1024
"""How far a message may be overtaken by later ones of its sender, to whomever those went, and still be taken."""
_MASK = (1 << WINDOW) - 1


class ReplayWindow:
    """The highest number so far, and a bit for each of the `WINDOW` numbers up to it (as in RFC 4303 §3.4.3)."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = -1
        """The highest number that was taken; -1 before the first."""
        self._seen = 0

    def admits(self, number: int) -> bool:
        """Whether `number` has not come before, as far as this can be known. Asking changes nothing."""
        behind = self.highest - number
        if behind < 0:
            return True
        return behind < WINDOW and not self._seen >> behind & 1

    def skip(self, number: int) -> None:
        """Admit nothing up to `number` any more; for a window that has taken nothing yet."""
        self.highest = number
        self._seen = _MASK

    def take(self, number: int) -> bool:
        """Note a number that was admitted, and whose message proved genuine; whether it is the highest now."""
        ahead = number - self.highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return False
        self._seen = (self._seen << ahead | 1) & _MASK if ahead < WINDOW else 1
        self.highest = number
        return True

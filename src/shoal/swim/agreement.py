"""How far this node's view agrees with those of its peers, as the digests on pings and acks show."""

from __future__ import annotations

from typing import Final

from shoal.swim.context import Context

__all__ = ["WINDOW", "Agreement"]

WINDOW: Final = 64
"""Of how many probes the share of agreement is taken."""

_EXPECTED: Final = 0.25
"""What a difference counts for while it is to be expected: members come to suspect one, and to hold it dead, within
seconds of each other, and that comes right by itself."""
_ALL: Final = (1 << WINDOW) - 1


class Agreement:
    """Counts equal and other digests.

    In a cluster at rest all digests are equal. While news spreads they differ for a moment; whoever differs from most
    of its peers for longer has missed something.
    """

    __slots__ = ("_answered", "_equal", "_lead", "_stats", "_table", "_threshold", "was_unequal")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._stats = context.stats
        self._threshold = context.config.sync_threshold
        #: By how many packets the differing digests lead over the equal ones, never below 0.
        self._lead = 0.0
        #: The last probes as bits, the latest lowest: whether the digest of the ack was equal.
        self._equal = 0
        self._answered = 0
        self.was_unequal = False
        """Whether another digest than ours came, since somebody set this to false."""

    @property
    def share(self) -> float | None:
        """Of the last 64 answered probes, the share whose ack carried an equal digest; None before the first."""
        return self._equal.bit_count() / self._answered if self._answered else None

    @property
    def is_wanting(self) -> bool:
        """Whether the views have differed for so long that something must be done."""
        return self._lead >= self._threshold

    def note_probe(self, digest: int) -> None:
        """One of our probes was answered by an ack with that digest."""
        is_equal = digest == self._table.digest
        self._stats.probes_agreed += is_equal
        self._equal = (self._equal << 1 | is_equal) & _ALL
        self._answered = min(self._answered + 1, WINDOW)

    def note(self, digest: int, *, is_expected: bool = False) -> bool:
        """A ping or ack carried that digest; returns whether it is ours.

        `is_expected` says whether another one is no sign of something missed, as while a suspicion stands.
        """
        is_equal = digest == self._table.digest
        if not is_equal:
            self.was_unequal = True
            self._lead += _EXPECTED if is_expected else 1.0
        else:
            self._lead = max(0.0, self._lead - 1.0)
        return is_equal

    def begin_anew(self) -> None:
        """Something is being done about it: count from the start."""
        self._lead = 0.0
